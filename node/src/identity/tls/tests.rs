use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::fixture::{
    Consortium, NOW_MS, Node, certificate_shown, refusal_told, tls12_client_hello, write_credential,
};
use super::*;
use crate::connector;
use crate::identity::Role;
use crate::identity::caller::check_live;
use crate::identity::fixture::{Authority, Leaf};

const LONG: Duration = Duration::from_secs(10);

/// Accepts one connection; the other side is played at the same time.
async fn meet<T>(
    node: &Node,
    audience: Audience,
    within: Duration,
    other_side: impl AsyncFnOnce(SocketAddr) -> T,
) -> (Result<Caller, HandshakeError>, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = async {
        let (stream, address) = listener.accept().await.unwrap();
        let accepted = node.tls.accept(audience, stream, address, within).await;
        accepted.map(|(_, caller)| caller)
    };
    tokio::join!(accepted, other_side(address))
}

/// What both sides learn of a refusal: the cause, and the words of the alert.
async fn refused(node: &Node, audience: Audience, leaf: Option<&Leaf>) -> (&'static str, String) {
    let (accepted, told) =
        meet(node, audience, LONG, async |address| refusal_told(address, leaf).await).await;
    (accepted.unwrap_err().cause(), told)
}

async fn admitted(node: &Node, audience: Audience, leaf: &Leaf) -> Caller {
    let side = async |address| fixture::connect_as(address, Some(leaf)).await;
    let (accepted, connected) = meet(node, audience, LONG, side).await;
    connected.unwrap();
    accepted.unwrap()
}

#[tokio::test]
async fn clients_of_every_role_are_admitted_and_named() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    for role in Role::ALL {
        let caller = admitted(&node, Audience::Clients, &consortium.bank_b.leaf(role, "one")).await;
        assert_eq!(caller.identity.to_string(), format!("BANKBBBBXXX/{role}/one"));
        assert_eq!(caller.node_id, (role == Role::Node).then_some(2));
    }
    let leaf = consortium.bank_b.intermediate().leaf(Role::Client, "one");
    assert_eq!(admitted(&node, Audience::Clients, &leaf).await.identity.name, "one");
}

#[tokio::test]
async fn others_are_refused_with_the_rule_they_break() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let Consortium { bank_a, bank_b } = &consortium;
    let no_san = bank_a.leaf_with(Role::Client, |params| params.subject_alt_names.clear());
    let two_sans = bank_a.leaf_with(Role::Client, |params| {
        params.subject_alt_names.push(params.subject_alt_names[0].clone());
    });
    let forged = bank_a.leaf_claiming("BANKBBBBXXX", Role::Client, "one");
    let stranger = Authority::new("EVILEEEEXXX").leaf(Role::Client, "one");
    let expired = bank_a.expired_leaf(Role::Client, "one");
    for (leaf, cause, words) in [
        (&no_san, "san", "CertificateUnknown"),
        (&two_sans, "san", "CertificateUnknown"),
        (&forged, "chain", "UnknownCA"),
        (&stranger, "chain", "UnknownCA"),
        (&expired, "expired", "CertificateExpired"),
    ] {
        let (found, told) = refused(&node, Audience::Clients, Some(leaf)).await;
        assert_eq!(found, cause);
        assert!(told.contains(words), "{cause}: {told}");
    }
    let (cause, told) = refused(&node, Audience::Clients, None).await;
    assert_eq!(cause, "no_certificate");
    assert!(told.contains("CertificateRequired"), "{told}");

    // The listener for nodes takes nodes of the registry only.
    for leaf in [bank_b.leaf(Role::Operator, "one"), bank_b.leaf(Role::Node, "unregistered")] {
        let (cause, told) = refused(&node, Audience::Peers, Some(&leaf)).await;
        assert_eq!(cause, "role");
        assert!(told.contains("AccessDenied"), "{told}");
    }
    let peer = admitted(&node, Audience::Peers, &bank_b.leaf(Role::Node, "one")).await;
    assert_eq!(peer.node_id, Some(2));
}

#[tokio::test]
async fn what_is_no_tls_13_is_refused() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let send = |bytes: Vec<u8>| {
        let node = &node;
        async move {
            let side = async |address| {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                answer
            };
            let (accepted, answer) = meet(node, Audience::Clients, LONG, side).await;
            (accepted.unwrap_err().cause(), answer)
        }
    };
    let (cause, answer) = send(tls12_client_hello()).await;
    assert_eq!(cause, "incompatible");
    // A fatal alert: protocol_version.
    assert_eq!(answer[..1], [0x15]);
    assert_eq!(answer[5..], [0x02, 0x46]);
    assert_eq!(send(b"GET / HTTP/1.1\r\n\r\n".to_vec()).await.0, "garbage");
    assert_eq!(send(vec![0xff; 100]).await.0, "garbage");
}

#[tokio::test]
async fn a_handshake_left_half_open_ends() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    for bytes in [&tls12_client_hello()[..20], &[]] {
        let side = async |address| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            // Ends when the node closes the connection.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let within = Duration::from_millis(100);
        let (accepted, ()) = meet(&node, Audience::Clients, within, side).await;
        assert!(matches!(accepted, Err(HandshakeError::Timeout(_))));
    }
    let side = async |address| drop(TcpStream::connect(address).await.unwrap());
    let (accepted, ()) = meet(&node, Audience::Clients, LONG, side).await;
    assert_eq!(accepted.unwrap_err().cause(), "broken");
}

#[tokio::test]
async fn nodes_reach_the_node_they_call_and_no_other() {
    let consortium = Consortium::new();
    let (one, two) = (consortium.node(1), consortium.node(2));
    let call = |expected| {
        let (one, two) = (&one, &two);
        async move {
            let side = async |address: SocketAddr| {
                connector::connect(&two.tls, expected, &address.to_string()).await.map(|_| ())
            };
            meet(one, Audience::Peers, LONG, side).await
        }
    };
    let (accepted, connected) = call(1).await;
    connected.unwrap();
    assert_eq!(accepted.unwrap().node_id, Some(2));
    let (_, connected) = call(3).await;
    assert!(connected.unwrap_err().to_string().contains("invalid peer certificate"));
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let shown = || {
        let node = &node;
        async move {
            let side = async |address| certificate_shown(address).await;
            meet(node, Audience::Clients, LONG, side).await.1
        }
    };
    let first = shown().await;
    let tls = Arc::clone(&node.tls);
    let watch = tokio::spawn(async move { tls.reload_on_change().await });

    let new = consortium.bank_a.leaf(Role::Node, "one");
    write_credential(&node.files, &new);
    let deadline = tokio::time::Instant::now() + 4 * limits::CERTIFICATE_POLL_INTERVAL;
    while shown().await == first {
        assert!(tokio::time::Instant::now() < deadline, "the certificate was not reloaded");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(shown().await, new.certificate.to_vec());
    watch.abort();

    // What the others would refuse is not used.
    let before = node.tls.identity();
    for bad in [
        consortium.bank_b.leaf(Role::Node, "one"),
        consortium.bank_a.expired_leaf(Role::Node, "one"),
        consortium.bank_a.leaf(Role::Client, "one"),
    ] {
        write_credential(&node.files, &bad);
        assert!(!node.tls.reload());
        assert_eq!(node.tls.identity(), before);
    }
    std::fs::remove_file(&node.files.key).unwrap();
    assert!(!node.tls.reload());
    assert_eq!(shown().await, new.certificate.to_vec());
}

#[tokio::test]
async fn trust_can_be_replaced() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let leaf = consortium.bank_b.leaf(Role::Client, "one");
    admitted(&node, Audience::Clients, &leaf).await;
    let anchors = vec![consortium.bank_a.anchor()];
    node.tls.set_trust(Trust::new(crate::identity::fixture::CONSORTIUM, anchors, vec![]).unwrap());
    assert_eq!(refused(&node, Audience::Clients, Some(&leaf)).await.0, "chain");
}

#[tokio::test]
async fn a_certificate_that_expires_ends_its_connection() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let hour = consortium.bank_b.leaf_with(Role::Client, |params| {
        // An hour after the day on which this test takes place.
        params.not_after = rcgen::date_time_ymd(2026, 11, 23);
    });
    let caller = admitted(&node, Audience::Clients, &hour).await;
    assert_eq!(check_live(&caller, node.clock.now_ms()), Ok(()));
    node.clock.advance_ms(48 * 3_600_000);
    assert!(check_live(&caller, node.clock.now_ms()).is_err());
    assert!(node.clock.now_ms() > NOW_MS);
    assert_eq!(refused(&node, Audience::Clients, Some(&hour)).await.0, "expired");
}
