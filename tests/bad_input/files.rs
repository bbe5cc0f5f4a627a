//! Files that are no files of payments: bombs, DOCTYPEs, external entities, deep nesting, floods,
//! other encodings. The command line refuses them, says why, and sends nothing.

use std::fs;
use std::time::{Duration, Instant};

use counterfoil_tests::consortium::{BANKS, Consortium};
use serde_json::Value;

/// Longer than any refusal takes, in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

const PACS_009: &str = "urn:iso:std:iso:20022:tech:xsd:pacs.009.001.08";
const CAMT_053: &str = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08";

pub fn are_refused(consortium: &Consortium) {
    let directory = consortium.path().join("hostile");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("secret.txt"), "the secret of the file").unwrap();
    for (command, namespace) in [("submit", PACS_009), ("recon import", CAMT_053)] {
        for (name, content) in hostile(namespace) {
            let file = directory.join(name);
            fs::write(&file, content).unwrap();
            let begun = Instant::now();
            let output = consortium
                .command_line(BANKS[0], "client")
                .args(command.split(' '))
                .arg("--file")
                .arg(&file)
                .args(["-o", "json"])
                .output()
                .unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            let what = format!("{command} {name}: {stderr}");
            assert_eq!(output.status.code(), Some(2), "{what}");
            assert!(output.stdout.is_empty(), "{what}");
            assert!(begun.elapsed() < PATIENCE, "{what} took {:?}", begun.elapsed());
            assert!(stderr.len() < 4_096 && !stderr.contains("panicked"), "{what}");
            assert!(!stderr.contains("the secret"), "{what}");
            let error: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
            let code = error["code"].as_str().unwrap();
            assert!(["FILE_REFUSED", "FILE_TOO_LARGE"].contains(&code), "{what}");
        }
    }
}

fn hostile(namespace: &str) -> Vec<(&'static str, Vec<u8>)> {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    let document = |doctype: &str, content: &str| {
        format!("{head}{doctype}<Document xmlns=\"{namespace}\">{content}</Document>").into_bytes()
    };
    let lol = (1..10)
        .map(|level| format!("<!ENTITY l{level} \"{}\">", format!("&l{};", level - 1).repeat(10)))
        .collect::<String>();
    let bomb = format!("<!DOCTYPE x [<!ENTITY l0 \"lol\">{lol}]>");
    let external = "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:secret.txt\">]>";
    let parameter = "<!DOCTYPE x [<!ENTITY % e SYSTEM \"http://127.0.0.1:1/x.dtd\"> %e;]>";
    let attributes = (0..10_000).map(|it| format!(" a{it}=\"1\"")).collect::<String>();
    let utf_16: Vec<u8> = "<Document/>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut no_utf_8 = document("", "<a>x</a>");
    no_utf_8[80] = 0xff;
    vec![
        ("billion-laughs.xml", document(&bomb, "<a>&l9;</a>")),
        (
            "quadratic.xml",
            document(
                &format!("<!DOCTYPE x [<!ENTITY e \"{}\">]>", "e".repeat(100_000)),
                &"&e;".repeat(100_000),
            ),
        ),
        ("external-entity.xml", document(external, "<a>&e;</a>")),
        ("parameter-entity.xml", document(parameter, "")),
        ("doctype.xml", document("<!DOCTYPE Document>", "")),
        ("external-subset.xml", document("<!DOCTYPE Document SYSTEM \"secret.txt\">", "")),
        ("undeclared-entity.xml", document("", "<a>&e;</a>")),
        ("instruction.xml", document("<?xml-stylesheet href=\"file:secret.txt\"?>", "")),
        ("deep.xml", document("", &format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000)))),
        ("deep-without-end.xml", document("", &"<a>".repeat(1_000_000))),
        ("attributes.xml", document("", &format!("<a{attributes}/>"))),
        ("elements.xml", document("", &"<a/>".repeat(1_000_000))),
        ("long-name.xml", document("", &format!("<{}/>", "n".repeat(1_000_000)))),
        ("long-text.xml", document("", &format!("<a>{}</a>", "t".repeat(20 << 20)))),
        (
            "include.xml",
            document(
                "",
                "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"secret.txt\"/>",
            ),
        ),
        ("unbalanced.xml", document("", "<a><b></a></b>")),
        ("two-roots.xml", [document("", ""), document("", "")].concat()),
        ("truncated.xml", document("", "<FICdtTrf><GrpHdr>")[..120].to_vec()),
        ("empty-document.xml", document("", "")),
        (
            "other-message.xml",
            String::from_utf8(document("", "")).unwrap().replace(namespace, "urn:x").into_bytes(),
        ),
        ("utf-16.xml", [&[0xfe, 0xff], &utf_16[..]].concat()),
        ("no-utf-8.xml", no_utf_8),
        ("nul.xml", document("", "<a>\0</a>")),
        ("empty.xml", Vec::new()),
        ("zeros.xml", vec![0; 1 << 20]),
        ("random.csv", vec![0xfe; 10_000]),
        ("wide.csv", format!("{}\n", "a,".repeat(1_000_000)).into_bytes()),
        ("quote.csv", format!("\"{}", "a\n".repeat(1_000_000)).into_bytes()),
    ]
}
