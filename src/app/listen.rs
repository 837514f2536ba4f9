//! The HTTP server: its threads, its connections, and how long a client may keep one busy.

use std::any::Any;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::web::Data;
use actix_web::{App as Application, HttpServer};
use socket2::SockRef;

use super::{Error, machine};
use crate::config::Server;
use crate::http;

/// Threads of one HTTP worker that read and write files. Each keeps memory of its own once it has run, and a disk is not
/// quicker for more of them.
const FILE_THREADS_MAX: usize = 16;

/// What the kernel keeps of answers that a client has not taken yet, in bytes of each connection. By itself it would keep
/// megabytes of each.
const SEND_BYTES: usize = 256 * 1024;

/// Serves `state` on `listener`.
pub(super) fn listen(server: &Server, state: Data<http::State>, listener: TcpListener) -> Result<ServerHandle, Error> {
    // Connections take it over: the kernel ends those whose client takes nothing of what was sent for so long.
    let stall = Duration::from_secs(server.stall_seconds);
    let socket = SockRef::from(&listener);
    socket.set_tcp_user_timeout(Some(stall)).map_err(machine("the time limit of the listener"))?;
    socket.set_send_buffer_size(SEND_BYTES).map_err(machine("the buffer of the listener"))?;
    let connections = state.connections.clone();
    let running = HttpServer::new(move || Application::new().configure(http::configure(state.clone())))
        .workers(server.threads())
        .worker_max_blocking_threads(FILE_THREADS_MAX)
        .max_connections(server.connections.div_ceil(server.threads()))
        .on_connect(move |_: &dyn Any, of_connection: &mut Extensions| {
            of_connection.insert(connections.open());
        })
        .keep_alive(Duration::from_secs(server.keep_alive_seconds))
        .client_request_timeout(Duration::from_secs(server.head_seconds))
        .shutdown_timeout(server.drain_seconds)
        .disable_signals()
        .listen(listener)
        .map_err(machine("the listener"))?
        .run();
    let handle = running.handle();
    actix::spawn(async move {
        if let Err(error) = running.await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    Ok(handle)
}
