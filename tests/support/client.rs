//! Clients: a well-behaved worker, and a bare socket that sends what the test says.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{FEATURES, soon};

/// A registration of the worker `id`.
pub fn registration(id: &str) -> String {
    format!(
        r#"{{"type":"worker_registration","workerId":"{id}","workerName":"{id}","capabilities":{{"models":[{{"modelId":"m"}}],"maxConcurrentRequests":2}}}}"#
    )
}

/// A registration of the worker `id`, which takes requests.
pub fn attentive_registration(id: &str) -> String {
    let mut text = registration(id);
    text.insert_str(text.len() - 1, FEATURES);
    text
}

/// A heartbeat of the worker `id`.
pub fn heartbeat(id: &str) -> String {
    format!(r#"{{"type":"heartbeat","workerId":"{id}","timestamp":"now"}}"#)
}

/// A worker, on tokio-tungstenite.
pub struct Client(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub async fn connect(port: u16) -> Self {
        let (socket, _) = soon(connect_async(format!("ws://127.0.0.1:{port}/"))).await.expect("a connection");
        Self(socket)
    }

    /// Connects and registers; returns the session id too.
    pub async fn registered(port: u16, id: &str) -> (Self, String) {
        let mut client = Self::connect(port).await;
        let session = client.register(id).await;
        (client, session)
    }

    /// The same, of a worker that takes requests.
    pub async fn registered_for_requests(port: u16, id: &str) -> (Self, String) {
        let mut client = Self::connect(port).await;
        client.send(&attentive_registration(id)).await;
        let ack = client.json().await;
        assert_eq!(ack["success"], true, "{ack}");
        (client, ack["sessionId"].as_str().expect("a session id").to_owned())
    }

    pub async fn register(&mut self, id: &str) -> String {
        self.send(&registration(id)).await;
        let ack = self.json().await;
        assert_eq!(ack["success"], true, "{ack}");
        ack["sessionId"].as_str().expect("a session id").to_owned()
    }

    pub async fn send(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    pub async fn send_message(&mut self, message: Message) {
        soon(self.0.send(message)).await.expect("the message leaves");
    }

    /// The next message of any kind.
    pub async fn next(&mut self) -> Message {
        soon(self.0.next()).await.expect("not the end").expect("a message")
    }

    pub async fn text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => panic!("{other:?} instead of a text"),
        }
    }

    pub async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).expect("JSON")
    }

    /// The close frame that comes next, answered.
    pub async fn closed(&mut self) -> (u16, String) {
        let closed = match self.next().await {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?} instead of a close frame"),
        };
        // The decoder sends the answer as it reads on.
        while let Some(Ok(_)) = soon(self.0.next()).await {}
        closed
    }
}

/// A WebSocket handshake for a path.
pub fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A client's frame; its mask is zero, so its payload is readable. `first` is the first byte, FIN and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()).expect("a short frame") {
        length @ 0..=0x7d => frame.push(0x80 | length.to_be_bytes()[1]),
        length => {
            frame.push(0xfe);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

pub const TEXT: u8 = 0x81;

/// A bare socket.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(port: u16) -> Self {
        Self(soon(TcpStream::connect(("127.0.0.1", port))).await.expect("a connection"))
    }

    /// Connects and upgrades.
    pub async fn upgraded(port: u16) -> Self {
        let mut raw = Self::connect(port).await;
        raw.write(upgrade("/").as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    /// Connects, upgrades and registers.
    pub async fn registered(port: u16, id: &str) -> Self {
        let mut raw = Self::upgraded(port).await;
        raw.write(&frame(TEXT, registration(id).as_bytes())).await;
        // A server that pings may do so before.
        while raw.frame().await.0 != TEXT {}
        raw
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        soon(self.0.write_all(bytes)).await.expect("the bytes leave");
    }

    /// A response head.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(self.0.read_u8()).await.expect("more of the head"));
        }
        String::from_utf8(head).expect("text")
    }

    /// A frame of the server: its first byte and its payload.
    pub async fn frame(&mut self) -> (u8, Vec<u8>) {
        let first = soon(self.0.read_u8()).await.expect("a frame");
        let length = match soon(self.0.read_u8()).await.expect("a length") {
            126 => u64::from(soon(self.0.read_u16()).await.expect("a length")),
            127 => soon(self.0.read_u64()).await.expect("a length"),
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        soon(self.0.read_exact(&mut payload)).await.expect("a payload");
        (first, payload)
    }

    /// The close frame that comes next, whatever comes before it.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            if let (0x88, payload) = self.frame().await {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                return (code, String::from_utf8_lossy(&payload[2..]).into_owned());
            }
        }
    }

    /// Everything up to the end of the connection, however it ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        soon(self.0.read_to_end(&mut rest)).await.ok();
        rest
    }
}
