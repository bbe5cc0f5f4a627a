//! What is not even a connection: garbage on every port, older TLS, handshakes that go nowhere,
//! connections that say nothing.

use std::time::{Duration, Instant};

use counterfoil_ledger::hash::Hash;
use counterfoil_tests::banking::account;
use counterfoil_tests::consortium::{BANKS, Consortium};
use counterfoil_tests::wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A handshake is given up after five seconds.
const HANDSHAKE: Duration = Duration::from_secs(8);

/// Silence after the handshake, after ten.
const SILENCE: Duration = Duration::from_secs(14);

/// Half-open handshakes on each port of the node under attack.
const HALF_OPEN: usize = 200;

/// How long the honest wait behind them at most.
const HONEST_WAIT: Duration = Duration::from_secs(5);

pub async fn bear_it(consortium: &Consortium) {
    let ports = [
        consortium.client_address(0).to_owned(),
        consortium.peer_address(0).to_owned(),
        consortium.metrics_address(0).to_owned(),
    ];
    tokio::join!(
        garbage(&ports),
        tls_1_2(&ports[..2]),
        garbage_after_the_handshake(consortium),
        silence_after_the_handshake(consortium),
        monitoring_that_is_held_up(&ports[2]),
    );
    half_open_handshakes(consortium).await;
}

/// Sends bytes and reads what comes until the other side closes.
async fn exchange(address: &str, bytes: &[u8], within: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may close before everything is written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(within, stream.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok(),
        "{address} keeps a connection that said {:?}",
        &bytes[..bytes.len().min(8)]
    );
    answer
}

async fn garbage(ports: &[String]) {
    let random = Hash::of(b"garbage").as_bytes().repeat(2_048);
    let pieces: [&[u8]; 10] = [
        &[0],
        &[0; 5],
        &random,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        // A record of TLS: longer than any; a handshake of 16 MiB; an alert; data before a handshake.
        &[22, 3, 3, 0xff, 0xff, 1, 2, 3],
        &[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
        &[21, 3, 3, 0, 2, 2, 40],
        &[23, 3, 3, 0, 4, 1, 2, 3, 4],
    ];
    let exchanges = ports.iter().flat_map(|port| {
        pieces.iter().map(move |piece| {
            let (port, piece) = (port.clone(), piece.to_vec());
            tokio::spawn(async move { (exchange(&port, &piece, HANDSHAKE).await, port, piece) })
        })
    });
    let exchanges: Vec<_> = exchanges.collect();
    for exchange in exchanges {
        let (answer, port, piece) = exchange.await.unwrap();
        // Nobody is told anything but that this is TLS, or HTTP; the metrics are for who asks.
        assert!(answer.len() < 400, "{port} says {} bytes to {piece:?}", answer.len());
    }
}

/// A ClientHello as a client of 2015 sends it. The answer is one alert: protocol_version.
async fn tls_1_2(ports: &[String]) {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend([0, 8, 0xc0, 0x2b, 0xc0, 0x2f, 0x00, 0x9c, 0x00, 0x2f]);
    hello.extend([1, 0]);
    let extensions = [
        // supported_groups: P-256, X25519; ec_point_formats; signature_algorithms.
        &[0, 10, 0, 6, 0, 4, 0, 23, 0, 29][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 8, 7],
    ]
    .concat();
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let length = u32::try_from(hello.len()).unwrap().to_be_bytes();
    let handshake = [&[1], &length[1..], &hello[..]].concat();
    let length = u16::try_from(handshake.len()).unwrap().to_be_bytes();
    let record = [&[22, 3, 1], &length[..], &handshake[..]].concat();
    for port in ports {
        let answer = exchange(port, &record, HANDSHAKE).await;
        let [kind, _, _, 0, 2, 2, alert] = answer[..] else { panic!("{port}: {answer:?}") };
        assert_eq!((kind, alert), (21, 70), "{port}");
    }
}

/// Somebody with a certificate who then speaks no HTTP/2.
async fn garbage_after_the_handshake(consortium: &Consortium) {
    for (role, address) in
        [("client", consortium.client_address(0)), ("node", consortium.peer_address(0))]
    {
        let credential = consortium.credential(BANKS[0], role);
        let mut stream = wire::shake_hands(address, Some(&credential)).await.unwrap();
        let _ = stream.write_all(&[0x5a; 1_000]).await;
        let mut answer = Vec::new();
        // However it ends, it ends.
        let read = timeout(HANDSHAKE, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "{role}");
    }
}

/// Somebody with a certificate who then says nothing.
async fn silence_after_the_handshake(consortium: &Consortium) {
    let credential = consortium.credential(BANKS[0], "client");
    let address = consortium.client_address(0);
    let mut stream = wire::shake_hands(address, Some(&credential)).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(SILENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "a connection that says nothing is kept");
}

/// More connections than monitoring takes, all of them silent: it answers again when they are cut.
async fn monitoring_that_is_held_up(address: &str) {
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    let begun = Instant::now();
    loop {
        let answer = exchange(address, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", HANDSHAKE).await;
        if answer.starts_with(b"HTTP/1.1 200") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "monitoring is dead");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for request in ["POST /metrics", "GET /metrics/../../etc/passwd", "DELETE /", "GET /x?y"] {
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let answer = exchange(address, request.as_bytes(), HANDSHAKE).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 40"),
            "{request}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}

/// Two hundred connections on each port that begin a handshake and leave it there. Whoever is honest
/// is served by this very node meanwhile, and so is whoever asks another.
async fn half_open_handshakes(consortium: &Consortium) {
    let mut held = Vec::new();
    for address in [consortium.client_address(0), consortium.peer_address(0)] {
        for number in 0..HALF_OPEN {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
            }
            held.push(stream);
        }
    }
    let begun = Instant::now();
    let credential = consortium.credential(BANKS[0], "client");
    let path = "/counterfoil.v1.AccountService/ListAccounts";
    let channel = wire::connect(consortium.client_address(0), Some(&credential)).await.unwrap();
    wire::call(&channel, path, Vec::new()).await.unwrap();
    let node = consortium.credential(BANKS[0], "node");
    wire::connect(consortium.peer_address(0), Some(&node)).await.unwrap();
    let waited = begun.elapsed();
    println!("behind {HALF_OPEN} half-open handshakes the honest wait {waited:?}");
    assert!(waited < HONEST_WAIT, "{waited:?}");
    for node in 0..consortium.node_count() {
        let client = consortium.client_at(BANKS[0], &[node]);
        let ordered = client.balance(account(BANKS[0], "CHF"), None);
        timeout(HONEST_WAIT, ordered).await.unwrap().unwrap();
    }
    drop(held);
}
