//! `zarrs_reader STORE` lists the arrays of a local Zarr store; `zarrs_reader STORE ARRAY FILE` writes all values of one as little-endian
//! float32 to FILE and prints its shape and dimension names as JSON. Exit 1 and one line on standard error where zarrs raises.

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use zarrs::array::Array;
use zarrs::filesystem::FilesystemStore;
use zarrs::node::Node;

type Outcome = Result<(), Box<dyn Error>>;

fn list(node: &Node) {
    for child in node.children() {
        if matches!(child.metadata(), zarrs::node::NodeMetadata::Array(_)) {
            println!("{}", child.path());
        }
        list(child);
    }
}

fn read(store: Arc<FilesystemStore>, name: &str, out: &str) -> Outcome {
    let array = Array::open(store, name)?;
    let values = array.retrieve_array_subset_elements::<f32>(&array.subset_all())?;
    let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    fs::write(out, bytes)?;
    let seen = serde_json::json!({"shape": array.shape(), "dimensions": array.dimension_names()});
    println!("{seen}");
    Ok(())
}

fn run(args: &[String]) -> Outcome {
    match args {
        [store] => {
            list(&Node::open(&Arc::new(FilesystemStore::new(store)?), "/")?);
            Ok(())
        }
        [store, name, out] => read(Arc::new(FilesystemStore::new(store)?), name, out),
        _ => Err("zarrs_reader STORE [ARRAY FILE]".into()),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zarrs_reader: {error}");
            ExitCode::FAILURE
        }
    }
}
