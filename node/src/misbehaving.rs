//! The program of a node that misbehaves: the honest one, and a will of its own from its environment.

use counterfoil_node::misbehaviour;

#[path = "main.rs"]
mod honest;

fn main() -> std::process::ExitCode {
    if let Err(error) = misbehaviour::begin() {
        eprintln!("counterfoil-node-misbehaving: {error}");
        return std::process::ExitCode::FAILURE;
    }
    honest::main()
}
