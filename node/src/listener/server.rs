//! The gRPC server's bounds. Several of tonic's own are "none".

use tonic::transport::Server;

use crate::limits;

/// A server with this process's bounds, this window for each connection, and no services yet.
pub fn server(window_bytes: u32) -> Server {
    Server::builder()
        .accept_http1(false)
        .timeout(limits::REQUEST_TIMEOUT)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(window_bytes)
        .http2_max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(limits::PENDING_RESET_STREAMS_MAX))
        .http2_max_local_error_reset_streams(Some(limits::ERROR_RESET_STREAMS_MAX))
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .max_connection_age(limits::CONNECTION_AGE_MAX)
        .max_connection_age_grace(limits::CONNECTION_AGE_GRACE)
}
