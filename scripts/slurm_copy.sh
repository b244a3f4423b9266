#!/bin/sh
# gribfs copy as a Slurm job array: each task makes one part, and a job that waits for all of them makes the store.
#
#   scripts/slurm_copy.sh 64 gefs/ /scratch/gefs.zarr --slice run_time --chunks number=31
#
# The first argument is the count of parts; the rest is what gribfs copy takes. SBATCH_ARGS are further flags of sbatch ("-p compute -t 2:00:00"),
# GRIBFS is the program. A part that failed is made again by the same command: parts that are done are found to be so.
# The last step runs whatever became of the parts, and names those that lack.
set -eu

gribfs=${GRIBFS:-gribfs}

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    # A task of the array: --array=1-N, so that the number is the part's. What could not be had is told by the last step.
    case " $* " in
    *" --allow-missing "*) ;;
    *) set -- "$@" --allow-missing ;;
    esac
    exec "$gribfs" copy "$@" --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_MAX"
fi
if [ -n "${GRIBFS_FINISH:-}" ]; then
    exec "$gribfs" copy "$@" --finish
fi

if [ "$#" -lt 3 ]; then
    echo "usage: $0 PARTS SOURCE DEST [FLAGS of gribfs copy]" >&2
    exit 2
fi
parts=$1
shift
# shellcheck disable=SC2086 # flags are words
array=$(sbatch --parsable --array="1-$parts" ${SBATCH_ARGS:-} "$0" "$@")
# shellcheck disable=SC2086
last=$(GRIBFS_FINISH=1 sbatch --parsable --export=ALL --dependency="afterany:${array%%;*}" ${SBATCH_ARGS:-} "$0" "$@")
echo "parts: job ${array%%;*}, last step: job ${last%%;*}"
