use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use super::*;
use crate::connector::peer_channel;
use crate::identity::Role;
use crate::identity::caller::Caller;
use crate::identity::tls::fixture::{Consortium, connect_as, tls12_client_hello};
use crate::shares::Bounds;

const SMALL: ListenerLimits = ListenerLimits {
    connections: Bounds { own: [1], most: [2], common: [1] },
    handshakes: 2,
    handshakes_of_known: 1,
    handshake_timeout: Duration::from_millis(300),
    first_byte_timeout: Duration::from_millis(300),
    is_paced: true,
};

struct Listening {
    address: SocketAddr,
    connections: ReceiverStream<io::Result<Connection>>,
    shutdown: CancellationToken,
}

async fn listen_to(audience: Audience, tls: &Arc<Tls>, limits: ListenerLimits) -> Listening {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let connections = accept(socket, audience, limits, Arc::clone(tls), shutdown.clone());
    Listening { address, connections, shutdown }
}

#[tokio::test]
async fn a_busy_address_is_named() {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let error = bind(address).unwrap_err();
    assert!(matches!(error, BindError::InUse(busy) if busy == address));
    let stop = Stop::from(error);
    assert_eq!(stop.code, ExitCode::AddressInUse);
    assert!(stop.message.contains(&address.to_string()));
    drop(socket);
    bind(address).unwrap();
    let foreign = bind("192.0.2.1:1".parse().unwrap()).unwrap_err();
    assert_eq!(Stop::from(foreign).code, ExitCode::Usage);
}

#[tokio::test]
async fn troublemakers_disturb_nobody() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let mut listening = listen_to(Audience::Clients, &node.tls, SMALL).await;
    let mut open = Vec::new();
    for bytes in [&tls12_client_hello()[..], b"\0\xff garbage", b"", &tls12_client_hello()[..9]] {
        for _ in 0..5 {
            let mut stream = TcpStream::connect(listening.address).await.unwrap();
            let _ = stream.write_all(bytes).await;
            open.push(stream);
        }
    }
    // More handshakes hang than may be in flight; the next takes the place of one of them.
    let leaf = consortium.bank_a.leaf(Role::Client, "one");
    let connected = connect_as(listening.address, Some(&leaf)).await.unwrap();
    let connection = listening.connections.next().await.unwrap().unwrap();
    assert_eq!(connection.caller().identity.to_string(), "BANKAAAAXXX/client/one");
    drop(connected);
}

#[tokio::test]
async fn each_institution_has_its_own_connections() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let mut listening = listen_to(Audience::Clients, &node.tls, SMALL).await;
    let leaf_a = consortium.bank_a.leaf(Role::Client, "one");
    let leaf_b = consortium.bank_b.leaf(Role::Client, "one");
    let mut client_ends = Vec::new();
    let mut node_ends = Vec::new();
    for leaf in [&leaf_a, &leaf_a, &leaf_b] {
        client_ends.push(connect_as(listening.address, Some(leaf)).await.unwrap());
        node_ends.push(listening.connections.next().await.unwrap().unwrap());
        if node_ends.len() == 2 {
            // A third of the same institution is closed after its handshake.
            let mut third = connect_as(listening.address, Some(&leaf_a)).await.unwrap();
            assert!(matches!(third.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        }
    }
    // What is common is taken, and the other has one of its own.
    let mut second = connect_as(listening.address, Some(&leaf_b)).await.unwrap();
    assert!(matches!(second.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    // Whoever leaves makes room.
    drop((client_ends, node_ends));
    let _end = connect_as(listening.address, Some(&leaf_b)).await.unwrap();
    assert!(listening.connections.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn silence_after_the_handshake_ends_the_connection() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let mut listening = listen_to(Audience::Clients, &node.tls, SMALL).await;
    let leaf = consortium.bank_a.leaf(Role::Client, "one");
    let _silent = connect_as(listening.address, Some(&leaf)).await.unwrap();
    let mut connection = listening.connections.next().await.unwrap().unwrap();
    let error = connection.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    let mut talker = connect_as(listening.address, Some(&leaf)).await.unwrap();
    let mut connection = listening.connections.next().await.unwrap().unwrap();
    talker.write_all(b"a").await.unwrap();
    assert_eq!(connection.read_u8().await.unwrap(), b'a');
    tokio::time::sleep(2 * SMALL.first_byte_timeout).await;
    talker.write_all(b"b").await.unwrap();
    assert_eq!(connection.read_u8().await.unwrap(), b'b');
}

#[tokio::test]
async fn the_shutdown_ends_the_stream_and_frees_the_address() {
    let consortium = Consortium::new();
    let node = consortium.node(1);
    let mut listening = listen_to(Audience::Clients, &node.tls, SMALL).await;
    let _half_open = TcpStream::connect(listening.address).await.unwrap();
    listening.shutdown.cancel();
    assert!(listening.connections.next().await.is_none());
    bind(listening.address).unwrap();
}

#[tokio::test]
async fn handlers_see_the_caller() {
    let consortium = Consortium::new();
    let (one, two) = (consortium.node(1), consortium.node(2));
    let Listening { address, connections, shutdown } =
        listen_to(Audience::Peers, &one.tls, limits::PEER_LISTENER).await;
    let health = HealthServer::with_interceptor(
        HealthService::from_health_reporter(tonic_health::server::HealthReporter::new()),
        |request: tonic::Request<()>| match request.extensions().get::<Caller>() {
            Some(caller) if caller.node_id == Some(2) => Ok(request),
            _ => Err(tonic::Status::permission_denied("nobody")),
        },
    );
    let served = tokio::spawn(
        server::server(limits::PEER_WINDOW_BYTES)
            .add_service(health)
            .serve_with_incoming_shutdown(connections, shutdown.clone().cancelled_owned()),
    );
    let check = |node_id| {
        let channel = peer_channel(Arc::clone(&two.tls), node_id, address.to_string());
        async move {
            let request = HealthCheckRequest { service: String::new() };
            HealthClient::new(channel).check(request).await.map(|_| ())
        }
    };
    check(1).await.unwrap();
    // The one that answers is not the one that was called.
    let status = check(2).await.unwrap_err();
    assert!(format!("{status:?}").contains("ApplicationVerificationFailure"), "{status:?}");

    shutdown.cancel();
    served.await.unwrap().unwrap();
}
