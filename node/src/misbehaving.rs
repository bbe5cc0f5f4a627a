//! The program of a node that misbehaves: the honest one, with a will of its own from its environment
//! (`COUNTERFOIL_MISBEHAVIOUR`), or with a bug on purpose (`COUNTERFOIL_DEFECT`).

use counterfoil_node::defect;
use counterfoil_node::misbehaviour;

#[path = "main.rs"]
mod honest;

fn main() -> std::process::ExitCode {
    let begun = defect::begin()
        .and_then(|is_defective| misbehaviour::begin().map(|lies| lies || is_defective));
    match begun {
        Ok(true) => return honest::main(),
        Ok(false) => eprintln!("counterfoil-node-misbehaving: nothing says how"),
        Err(error) => eprintln!("counterfoil-node-misbehaving: {error}"),
    }
    std::process::ExitCode::FAILURE
}
