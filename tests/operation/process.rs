//! How the node's program ends, and what `check` finds before it does.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use counterfoil_tests::authority::Authority;
use counterfoil_tests::consortium::{BANKS, Consortium, binary};

/// Runs the program to its end, which comes soon; its exit code and all that it said.
fn ends(consortium: &Consortium, node: usize, verb: &str, settings: &[&str]) -> (i32, String) {
    let mut command = consortium.command(node, verb);
    for setting in settings {
        command.args(["--set", setting]);
    }
    run(&mut command)
}

fn run(command: &mut Command) -> (i32, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(15);
    let mut status: Option<ExitStatus> = None;
    while status.is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
        status = child.try_wait().unwrap();
    }
    if status.is_none() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
    (status.unwrap_or_else(|| panic!("it runs: {said}")).code().unwrap(), said)
}

pub fn exit_codes_are_those_documented(consortium: &Consortium) {
    let node = 3;
    let institution = consortium.institution(node);
    let home = consortium.home(institution);
    let path = |name: &str| home.join(name).to_str().unwrap().to_owned();
    let anywhere =
        ["listen.client=127.0.0.1:0", "listen.peer=127.0.0.1:0", "listen.metrics=127.0.0.1:0"];
    // While the node runs, its addresses are taken, and its data directory too.
    assert_eq!(ends(consortium, node, "run", &[]).0, 76);
    let (code, said) = ends(consortium, node, "run", &anywhere);
    assert_eq!(code, 77, "{said}");
    assert!(consortium.is_running(node), "the first one does not mind");
    assert_eq!(consortium.stop_node(node), Some(0));

    let busy = TcpListener::bind(consortium.metrics_address(node)).unwrap();
    let (code, said) = ends(consortium, node, "run", &[]);
    assert_eq!(code, 76);
    assert!(said.contains(consortium.metrics_address(node)), "{said}");
    drop(busy);

    let expired = Authority::of(consortium, institution).issue_expired_pem(institution, "node");
    fs::create_dir(home.join("expired")).unwrap();
    fs::write(home.join("expired/certificate.pem"), expired.0).unwrap();
    fs::write(home.join("expired/key.pem"), expired.1).unwrap();
    fs::set_permissions(home.join("expired/key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::copy(home.join("attestation.pem"), home.join("open.pem")).unwrap();
    fs::set_permissions(home.join("open.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(home.join("empty")).unwrap();
    fs::write(home.join("garbage.bin"), "garbage").unwrap();
    let set = |key: &str, name: &str| format!("{key}={}", path(name));
    let other = consortium.home(BANKS[0]);
    let other_data = format!("node.data={}", other.join("data").display());
    let pair = |directory: &str| {
        let file = |name: &str| path(&format!("{directory}/{name}"));
        [
            format!("tls.certificate={}", file("certificate.pem")),
            format!("tls.key={}", file("key.pem")),
        ]
    };
    for (what, settings, expected, words) in [
        ("an unknown key", vec!["node.colour=blue".to_owned()], 64, "node.colour"),
        ("no node", vec!["node.id=9".to_owned()], 64, "no node 9"),
        ("no number", vec!["raft.heartbeat_ms=soon".to_owned()], 64, "raft.heartbeat_ms"),
        ("garbage for a genesis file", vec![set("node.genesis", "garbage.bin")], 64, "genesis"),
        ("no genesis file", vec![set("node.genesis", "nowhere")], 64, "cannot be read"),
        (
            "another attestation key",
            vec![set("attestation.key", "signing.pem")],
            75,
            "attestation key",
        ),
        ("a key that others can read", vec![set("attestation.key", "open.pem")], 75, "chmod 600"),
        ("an expired certificate", pair("expired").into(), 75, "expired"),
        ("a client's certificate", pair("client").into(), 75, "is no node"),
        ("a key of another", vec![set("tls.key", "client/key.pem")], 75, "does not belong"),
        ("a wiped data directory", vec![set("node.data", "empty")], 78, "holds no node's data"),
        ("no data directory", vec![set("node.data", "nowhere")], 78, "holds no node's data"),
    ] {
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let (code, said) = ends(consortium, node, "run", &settings);
        assert_eq!(code, expected, "{what}: {said}");
        assert!(said.contains(words), "{what}: {said}");
    }
    let config = fs::read_to_string(home.join("node.toml")).unwrap();
    fs::write(home.join("unknown.toml"), config.replace("[log]", "[log]\ncolour = \"blue\""))
        .unwrap();
    let unknown = home.join("unknown.toml");
    let node_program = || Command::new(binary("counterfoil-node"));
    let (code, said) = run(node_program().arg("run").arg("--config").arg(unknown));
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("log.colour"), "{said}");
    let variable = ("COUNTERFOIL_NODE_LOG__COLOUR", "blue");
    let (code, said) = run(consortium.command(node, "run").env(variable.0, variable.1));
    assert_eq!((code, said.contains("COLOUR")), (64, true), "{said}");
    assert_eq!(run(node_program().args(["run", "--colour"])).0, 64);
    let (code, said) = ends(consortium, node, "init", &[]);
    assert_eq!(code, 78, "founding anew what is there: {said}");

    // Another node's directory, while that one is down.
    assert_eq!(consortium.stop_node(1), Some(0));
    let (code, said) = ends(consortium, node, "run", &[&other_data]);
    assert_eq!(code, 78, "{said}");
    consortium.start_node(1);

    let (_, table) = run(node_program().arg("exit-codes"));
    for code in [0, 64, 75, 76, 77, 78] {
        assert!(table.contains(&format!("| {code} |")), "{table}");
    }
    consortium.start_node(node);
    consortium.wait_ready();
}

pub fn check_finds_what_is_wrong(consortium: &Consortium) {
    let node = 2;
    let (code, said) = ends(consortium, node, "check", &[]);
    assert_eq!(code, 64, "{said}");
    assert_eq!(said.matches("FAULT").count(), 4, "three addresses and the directory: {said}");
    assert_eq!(consortium.stop_node(node), Some(0));
    let (code, said) = ends(consortium, node, "check", &[]);
    assert_eq!((code, said.matches("FAULT").count()), (0, 0), "{said}");
    for subject in ["genesis", "node", "attestation key", "certificate", "peers", "data directory"]
    {
        assert!(said.contains(&format!("ok     {subject}")), "{subject}: {said}");
    }
    let home = consortium.home(consortium.institution(node));
    let wrong = [
        format!("node.data={}", home.join("nowhere").display()),
        format!("attestation.key={}", home.join("signing.pem").display()),
        format!("tls.key={}", home.join("client/key.pem").display()),
        "peers.9=127.0.0.1:1".to_owned(),
        format!("listen.client={}", consortium.client_address(0)),
    ];
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let (code, said) = ends(consortium, node, "check", &wrong);
    assert_eq!((code, said.matches("FAULT").count()), (64, 5), "all at once: {said}");
    consortium.start_node(node);
}
