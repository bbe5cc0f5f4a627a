//! Files made to hurt the reader of XML; each must be refused at its place, and soon.

#![allow(clippy::unwrap_used)]

use crate::formats::detect::detect;
use crate::formats::error::FormatError;
use crate::formats::xml;
use crate::formats::xml::ATTRIBUTES_MAX;
use crate::formats::xml::DEPTH_MAX;
use crate::formats::xml::ELEMENTS_MAX;
use crate::formats::xml::SIZE_MAX;

const OPEN: &str = "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\">";

fn refused(bytes: &[u8]) -> FormatError {
    match xml::parse(bytes) {
        Ok(_) => panic!("it was read: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)])),
        Err(error) => error,
    }
}

fn inside(content: &str) -> Vec<u8> {
    format!("{OPEN}{content}</Document>").into_bytes()
}

#[test]
fn what_is_well_formed_is_read() {
    let file = "\u{feff}<?xml version='1.0' encoding='utf-8'?>\n<!-- a -->\n<p:Document \
        xmlns:p='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'><p:a> x &lt;&#65;&amp;\
        <![CDATA[<&>]]> <!-- b -->y </p:a><p:b/><p:b Ccy='C&amp;F'/></p:Document>\n";
    let tree = xml::parse(file.as_bytes()).unwrap();
    let document = tree.document();
    assert_eq!(tree.message().to_string(), "camt.053.001.08");
    assert_eq!(document.require(&["a"]).unwrap().text(), "x <A&<&> y");
    let second = document.all("b").nth(1).unwrap();
    assert_eq!((second.currency(), second.path().as_str()), (Some("C&F"), "Document/b[2]"));
    assert_eq!(document.find("b").unwrap_err_place(), "Document/b[2]");
    assert_eq!(document.require(&["c"]).unwrap_err_place(), "Document/c");
}

trait Place {
    fn unwrap_err_place(self) -> String;
}

impl<T> Place for Result<T, FormatError> {
    fn unwrap_err_place(self) -> String {
        self.err().unwrap().place
    }
}

#[test]
fn entities_do_not_expand() {
    let mut laughs = String::from("<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\">");
    for level in 1..10 {
        let inner = "&lol;".repeat(10);
        laughs.push_str(&format!("<!ENTITY lol{level} \"{inner}\">"));
    }
    laughs.push_str("]><lolz>&lol9;</lolz>");
    assert!(refused(laughs.as_bytes()).fact.contains("DOCTYPE"));
    let external = "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>";
    assert!(refused(external.as_bytes()).fact.contains("DOCTYPE"));
    assert!(detect(external.as_bytes()).is_err());
    assert!(refused(&inside("<a>&lol;</a>")).fact.contains("entity"));
    assert!(xml::parse(&inside("<a b=\"&lol;\"/>")).is_err());
    for bad in ["&#0;", "&#x1F;", "&#xFFFE;", "&#x110000;", "&#xD800;", "&", "&#;", "&amp"] {
        refused(&inside(&format!("<a>{bad}</a>")));
    }
}

#[test]
fn processing_instructions_and_late_declarations() {
    assert!(refused(&inside("<?php system('ls') ?>")).fact.contains("processing"));
    assert!(refused(&inside("<?xml version=\"1.0\"?>")).fact.contains("declaration"));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(xml::parse(&inside(&nested(DEPTH_MAX - 1))).is_ok());
    assert!(refused(&inside(&nested(DEPTH_MAX))).fact.contains("deep"));
    assert!(refused("<a>".repeat(1_000_000).as_bytes()).fact.contains("deep"));
}

#[test]
fn attributes_are_bounded() {
    let flood = |count: usize| {
        let attributes: String = (0..count).map(|number| format!(" a{number}=''")).collect();
        inside(&format!("<a{attributes}/>"))
    };
    assert!(xml::parse(&flood(ATTRIBUTES_MAX)).is_ok());
    assert!(refused(&flood(ATTRIBUTES_MAX + 1)).fact.contains("attributes"));
    assert!(refused(&flood(1_000_000)).fact.contains("attributes"));
    let namespaces: String = (0..100_000).map(|n| format!(" xmlns:n{n}='urn:{n}'")).collect();
    assert!(refused(&inside(&format!("<a{namespaces}/>"))).fact.contains("attributes"));
    assert!(refused(&inside("<a b='1' b='2'/>")).fact.contains("twice"));
}

#[test]
fn names_are_bounded() {
    let name = "n".repeat(65);
    assert!(refused(&inside(&format!("<{name}/>"))).fact.contains("name"));
}

#[test]
fn elements_and_bytes_are_bounded() {
    assert!(refused(&inside(&"<a/>".repeat(ELEMENTS_MAX))).fact.contains("elements"));
    assert!(refused(&vec![b' '; SIZE_MAX + 1]).fact.contains("limit"));
    assert!(detect(&vec![b'<'; SIZE_MAX + 1]).is_err());
    refused(&vec![b'<'; SIZE_MAX]);
    refused(&vec![b'&'; SIZE_MAX]);
}

#[test]
fn truncated_at_every_byte() {
    let whole = inside("<a Ccy=\"EUR\">1</a><!-- c --><b><![CDATA[x]]></b>&amp;");
    let whole = String::from_utf8(whole).unwrap().replace("&amp;", "<c>&amp;</c>");
    assert!(xml::parse(whole.as_bytes()).is_ok());
    for length in 0..whole.len() {
        refused(&whole.as_bytes()[..length]);
    }
}

#[test]
fn any_byte_altered_is_read_or_refused_but_never_panics() {
    let whole = inside("<a Ccy=\"EUR\">1 &#65;</a><?p?><b><![CDATA[x]]></b>");
    for place in 0..whole.len() {
        for byte in [0u8, b'<', b'>', b'&', b'"', b'/', b'!', b'?', b']', 0x80, 0xff] {
            let mut altered = whole.clone();
            altered[place] = byte;
            let _ = xml::parse(&altered);
            let _ = detect(&altered);
        }
    }
}

#[test]
fn encodings_other_than_utf8() {
    let declared = format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{OPEN}</Document>");
    assert!(refused(declared.as_bytes()).fact.contains("encoding"));
    assert_eq!(refused(b"<a>\n\xe9</a>").place, "line 2");
    let utf16: Vec<u8> =
        "\u{feff}<a/>".encode_utf16().flat_map(|unit| unit.to_le_bytes()).collect();
    assert!(refused(&utf16).fact.contains("UTF-16"));
    assert!(refused(&inside("\0")).fact.contains("U+0000"));
    assert!(refused(&inside("\u{1b}")).fact.contains("U+001B"));
    // An overlong encoding of '<'.
    refused(b"\xc0\xbcDocument/>");
}

#[test]
fn ill_formed() {
    for bad in [
        "",
        " ",
        "text",
        "<a></b>",
        "</a>",
        "<a/><b/>",
        "<a>x<b/></a>",
        "<a b=c/>",
        "<a/>tail",
        "<![CDATA[x]]>",
        "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001'/>",
        "<Document/>",
        "<x:Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'/>",
        "<Envelope/>",
    ] {
        refused(bad.as_bytes());
    }
    let two = format!("<e>{OPEN}</Document>{OPEN}</Document></e>");
    assert!(refused(two.as_bytes()).fact.contains("second Document"));
    // A foreign Document inside of the message is no message.
    assert!(xml::parse(&inside("<SplmtryData><Document/></SplmtryData>")).is_ok());
}
