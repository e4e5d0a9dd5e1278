//! An echo server over the server's own connection code, for the Autobahn|Testsuite (`npm run autobahn`): the same request
//! head, handshake, decoder, outbox and goodbye as a worker's connection, with a consumer that sends everything back.
//!
//! Prints its port, and serves until it is killed.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use worker_server::accept::request_head::{self, Request};
use worker_server::outbox::Outbox;
use worker_server::websocket::frame::encode;
use worker_server::websocket::socket::{Consumer, End, SocketLimits, WebSocket};
use worker_server_core::config::Limits;

/// The suite sends much before it reads: there is no bound to what waits for it.
const MAX_QUEUED_BYTES: usize = usize::MAX / 2;

/// Sends back what comes: text as text, binary as binary.
struct Echo<'a>(&'a Outbox);

impl Consumer for Echo<'_> {
    fn on_text(&mut self, text: Utf8Bytes) {
        self.0.send(text);
    }

    fn on_binary(&mut self, data: Bytes) {
        let frame = Frame::message(data, OpCode::Data(Data::Binary), true);
        self.0.send_frame(&encode(frame).into());
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let limits = Limits::default();
    stream.set_nodelay(true)?;
    let mut read = BytesMut::new();
    let Ok(Request::WebSocket { response: Ok(response), length, .. }) =
        request_head::read(&mut stream, &mut read, limits.max_head_bytes).await
    else {
        return Ok(());
    };
    stream.write_all(response.as_bytes()).await?;
    let early = read.split_off(length).to_vec();
    let outbox = Outbox::new(MAX_QUEUED_BYTES);
    let socket_limits =
        SocketLimits { max_message_bytes: limits.max_message_bytes, stall_timeout: limits.stall_timeout };
    let mut socket = WebSocket::new(stream, early, &outbox, socket_limits);
    if let End::Broken(closing) = socket.run(&mut Echo(&outbox)).await {
        socket.say_goodbye(closing).await;
    }
    outbox.detach();
    Ok(())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream).await {
                eprintln!("{error}");
            }
        });
    }
}
