//! `gribfs mount --follow`: looking at the tables again and again.

use std::collections::HashSet;
use std::sync::Arc;

use tracing::{error, info, warn};

use crate::scan::{BadTable, Found, Library, TableWatch, now};
use crate::vfs::MountTree;

/// Looks at the tables whenever they may have changed, as long as the mount lives.
pub(super) async fn keep_up(
    tree: Arc<MountTree>,
    library: Library,
    mut watch: TableWatch,
    bad: Vec<BadTable>,
) {
    let mut told: HashSet<BadTable> = HashSet::new();
    let mut failing = false;
    let mut first = Some(bad);
    loop {
        let look = match first.take() {
            // Already looked at; only what is wrong is still to be told.
            Some(bad) => {
                tree.note_bad(reasons(&bad));
                bad
            }
            None => {
                watch.changed().await;
                match library.look().await {
                    Ok(found) => {
                        failing = false;
                        renew(&tree, &found).await;
                        found.bad
                    }
                    Err(error) => {
                        if !failing {
                            warn!("the tables cannot be looked at: {error}; what is shown stays");
                        }
                        failing = true;
                        tree.cannot_look(error.to_string());
                        continue;
                    }
                }
            }
        };
        told.retain(|known| look.contains(known));
        for table in look {
            if !told.contains(&table) {
                warn!(table = table.name, "not shown: {}", table.reason);
                told.insert(table);
            }
        }
    }
}

/// Shows what was found; building what it takes is no work for the runtime's own threads.
async fn renew(tree: &Arc<MountTree>, found: &Found) {
    let (tree, archive) = (Arc::clone(tree), Arc::clone(&found.archive));
    let bad = reasons(&found.bad);
    let renewed = tokio::task::spawn_blocking(move || tree.renew(archive, bad, now()));
    match renewed.await {
        Ok(runs) => {
            for run in runs {
                info!(run = run.path_name(), "new run");
            }
        }
        Err(panic) => error!("showing what came ended abnormally: {panic}"),
    }
}

fn reasons(bad: &[BadTable]) -> Vec<(String, String)> {
    let reasons = bad.iter();
    reasons
        .map(|table| (table.name.clone(), table.reason.clone()))
        .collect()
}
