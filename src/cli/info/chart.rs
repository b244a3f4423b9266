//! Which run has which step: counted over all arrays, and drawn as one line per run.

use crate::dataset::GridGroup;
use crate::time::{Instant, step_text};

/// Most lines of a chart; more runs share a line.
const MOST_LINES: usize = 100;

/// What there is of one run at one step, over all arrays, levels and members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// All that the arrays have at this step in any run.
    Complete,
    /// Some of it.
    Partly,
    /// Some of it should be there and has not arrived, or could not be placed: it reads as an error.
    Pending,
    /// None of it.
    Gap,
}

impl State {
    /// The letter of `--json`.
    const fn letter(self) -> char {
        match self {
            Self::Complete => 'c',
            Self::Partly => 'p',
            Self::Pending => '?',
            Self::Gap => '.',
        }
    }

    /// The sign of the chart.
    const fn sign(self, unicode: bool) -> char {
        match (self, unicode) {
            (Self::Complete, true) => '█',
            (Self::Partly, true) => '▒',
            (Self::Gap, true) => '·',
            (Self::Complete, false) => '#',
            (Self::Partly, false) => '+',
            (Self::Gap, false) => '.',
            (Self::Pending, _) => '?',
        }
    }

    /// One sign for several cells: what is wrong shows, and nothing is called complete or a gap that is not so as a whole.
    fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Pending, _) | (_, Self::Pending) => Self::Pending,
            (a, b) if a == b => a,
            _ => Self::Partly,
        }
    }
}

/// What there is of each run at each step.
#[derive(Clone, Debug)]
pub(super) struct Coverage {
    steps: usize,
    /// Run by run.
    states: Vec<State>,
}

impl Coverage {
    /// Counts the cells of a group. An array is expected where any run has it, with as many levels and members as it ever has.
    pub(super) fn of(runs: usize, group: &GridGroup) -> Self {
        let steps = group.steps.len();
        let mut totals = vec![(0_u32, 0_u32, false); runs * steps];
        let mut own = vec![(0_u32, 0_u32); runs * steps];
        for array in &group.arrays {
            own.fill((0, 0));
            array.cells.tally(&mut |run, step, present, pending| {
                let at = run as usize * steps + step as usize;
                if let Some(count) = own.get_mut(at) {
                    count.0 += present;
                    count.1 += pending;
                }
            });
            let usual = own.iter().map(|(present, pending)| present + pending).max();
            let mut has_step = vec![false; steps];
            for line in own.chunks(steps.max(1)) {
                for (has, count) in has_step.iter_mut().zip(line) {
                    *has |= *count != (0, 0);
                }
            }
            for (line, sums) in own
                .chunks(steps.max(1))
                .zip(totals.chunks_mut(steps.max(1)))
            {
                for ((count, sum), has) in line.iter().zip(sums).zip(&has_step) {
                    sum.0 = sum.0.saturating_add(count.0);
                    sum.1 = sum.1.saturating_add(count.1);
                    sum.2 |= *has && Some(count.0) < usual;
                }
            }
        }
        let state = |(present, pending, lacks)| match (present, pending, lacks) {
            (_, 1.., _) => State::Pending,
            (0, 0, _) => State::Gap,
            (_, 0, true) => State::Partly,
            (_, 0, false) => State::Complete,
        };
        Self {
            steps,
            states: totals.into_iter().map(state).collect(),
        }
    }

    fn line(&self, run: usize) -> &[State] {
        let from = run.saturating_mul(self.steps);
        self.states
            .get(from..from.saturating_add(self.steps))
            .unwrap_or_default()
    }

    /// One letter per step of a run: `c` complete, `p` partly, `?` pending, `.` gap.
    pub(super) fn letters(&self, run: usize) -> String {
        self.line(run).iter().map(|state| state.letter()).collect()
    }

    /// The chart: a line of steps, then a line per run, none longer than `width` characters (if that is 40 or more).
    pub(super) fn chart(
        &self,
        runs: &[Instant],
        steps: &[i64],
        width: usize,
        unicode: bool,
    ) -> Vec<String> {
        let names: Vec<String> = runs.iter().map(|run| run.path_name()).collect();
        let label = names.iter().map(String::len).max().unwrap_or_default() + 1;
        let room = width.max(40).saturating_sub(label).max(10);
        let per_sign = steps.len().div_ceil(room).max(1);
        let per_line = runs.len().div_ceil(MOST_LINES).max(1);
        let mut lines = vec![format!("{:label$}{}", "", ruler(steps, per_sign))];
        for (first, name) in names.iter().enumerate().step_by(per_line) {
            let mut states: Vec<State> = self.line(first).to_vec();
            for run in first + 1..(first + per_line).min(runs.len()) {
                for (state, other) in states.iter_mut().zip(self.line(run)) {
                    *state = state.merged(*other);
                }
            }
            let signs: String = states
                .chunks(per_sign)
                .filter_map(|several| several.iter().copied().reduce(State::merged))
                .map(|state| state.sign(unicode))
                .collect();
            lines.push(format!("{name:label$}{signs}"));
        }
        let mut scale = Vec::new();
        if per_sign > 1 {
            scale.push(format!("a sign is {per_sign} steps"));
        }
        if per_line > 1 {
            scale.push(format!("a line is {per_line} runs"));
        }
        let signs = [
            (State::Complete, "complete"),
            (State::Partly, "partly"),
            (State::Pending, "pending: an error when read"),
            (State::Gap, "gap"),
        ];
        let legend: Vec<String> = signs
            .iter()
            .filter(|(state, _)| *state != State::Pending || self.states.contains(state))
            .map(|(state, word)| format!("{} {word}", state.sign(unicode)))
            .chain(scale)
            .collect();
        lines.push(legend.join("  "));
        lines
    }
}

/// Names of some steps, each above its sign, none touching the next.
fn ruler(steps: &[i64], per_sign: usize) -> String {
    let mut text = String::new();
    for (column, step) in steps.iter().step_by(per_sign).enumerate() {
        let is_tick = column == 0 || (column.is_multiple_of(8) && text.len() + 2 <= column);
        if is_tick {
            text.extend(std::iter::repeat_n(' ', column - text.len()));
            text += &step_text(*step);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(lines: &[&str]) -> Coverage {
        let state = |letter| match letter {
            'c' => State::Complete,
            'p' => State::Partly,
            '?' => State::Pending,
            _ => State::Gap,
        };
        Coverage {
            steps: lines[0].len(),
            states: lines
                .iter()
                .flat_map(|line| line.chars())
                .map(state)
                .collect(),
        }
    }

    fn hours(count: i64, stride: i64) -> Vec<i64> {
        (0..count).map(|at| at * stride * 3600).collect()
    }

    #[test]
    fn a_small_chart_has_a_sign_per_step() {
        let runs = [Instant(0), Instant(21_600)];
        let lines = coverage(&["ccp.", "c??."]).chart(&runs, &hours(4, 6), 80, true);
        assert_eq!(
            lines,
            [
                "              0h",
                "1970-01-01T00 ██▒·",
                "1970-01-01T06 █??·",
                "█ complete  ▒ partly  ? pending: an error when read  · gap"
            ]
        );
        let plain = coverage(&["ccp.", "c??."]).chart(&runs, &hours(4, 6), 80, false);
        assert_eq!(plain[1], "1970-01-01T00 ##+.");
    }

    #[test]
    fn a_large_chart_fits_the_terminal_and_hides_no_hole() {
        let runs: Vec<Instant> = (0..100).map(|run| Instant(run * 21_600)).collect();
        let mut lines = vec!["c".repeat(200); 100];
        lines[3].replace_range(77..78, ".");
        lines[5] = ".".repeat(200);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let chart = coverage(&lines).chart(&runs, &hours(200, 1), 80, false);
        assert_eq!(chart.len(), 102);
        assert!(chart.iter().all(|line| line.chars().count() <= 80));
        // 66 places for 200 steps: 4 steps each, so the hole at step 77 is in the 20th.
        assert_eq!(
            chart[4],
            format!("1970-01-01T18 {}+{}", "#".repeat(19), "#".repeat(30))
        );
        assert_eq!(chart[6].split(' ').nth(1), Some(".".repeat(50).as_str()));
        assert!(chart[101].contains("a sign is 4 steps"));
        assert!(chart[0].contains(" 0h      32h     64h"), "{}", chart[0]);
    }

    #[test]
    fn many_runs_share_lines() {
        let runs: Vec<Instant> = (0..250).map(|run| Instant(run * 21_600)).collect();
        let mut lines = vec!["c"; 250];
        lines[4] = "?";
        let chart = coverage(&lines).chart(&runs, &[0], 80, false);
        assert_eq!(chart.len(), 2 + 84);
        assert!(chart[2].ends_with('?') && chart[1].ends_with('#'));
        assert!(chart[85].contains("a line is 3 runs"));
    }
}
