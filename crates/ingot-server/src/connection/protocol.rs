//! Which version of HTTP a connection without TLS speaks: told from its first bytes.
//!
//! A client that knows HTTP/2 beforehand, as gRPC's do, begins with a preface that is no request of HTTP/1.
//! Source: RFC 9113, 3.3 and 3.4. With TLS the handshake agrees on it.

use std::io::{self, Cursor};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// The names by which TLS agrees on them, the preferred one first. Source: RFC 7301, RFC 9113.
    pub const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

    /// Returns the version that a handshake agreed on.
    pub fn of_alpn(agreed: Option<&[u8]>) -> Self {
        match agreed {
            Some(b"h2") => Self::Http2,
            _ => Self::Http1,
        }
    }
}

/// Reads so much of `stream` that its version is known, and returns a stream that begins with what was read.
///
/// # Errors
/// The stream's.
pub async fn detect(
    stream: TcpStream,
) -> io::Result<(Protocol, impl AsyncRead + AsyncWrite + Unpin + Send + 'static)> {
    let (mut reader, writer) = stream.into_split();
    let mut begin = Vec::with_capacity(PREFACE.len());
    while begin.len() < PREFACE.len() && PREFACE.starts_with(&begin) {
        let wanted = (PREFACE.len() - begin.len()) as u64;
        if (&mut reader).take(wanted).read_buf(&mut begin).await? == 0 {
            break;
        }
    }
    let protocol = match begin == PREFACE {
        true => Protocol::Http2,
        false => Protocol::Http1,
    };
    let reader = Cursor::new(begin).chain(reader);
    Ok((protocol, tokio::io::join(reader, writer)))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use test_case::test_case;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[test_case(&[b"GET / HTTP/1.1\r\n\r\n"], Protocol::Http1; "a request")]
    #[test_case(&[b"P", b"OST / HTTP/1.1\r\n"], Protocol::Http1; "a request that begins as the preface does")]
    #[test_case(&[PREFACE, b"frames"], Protocol::Http2; "the preface")]
    #[test_case(&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\nframes"], Protocol::Http2; "the preface in pieces")]
    #[test_case(&[b"PRI *"], Protocol::Http1; "half a preface and an end")]
    #[test_case(&[], Protocol::Http1; "nothing")]
    #[tokio::test]
    async fn the_first_bytes_tell(sent: &[&[u8]], expected: Protocol) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = listener.await.expect("bind");
        let address = listener.local_addr().expect("address");
        let send = async {
            let mut client = TcpStream::connect(address).await.expect("connect");
            client.set_nodelay(true).expect("no delay");
            for piece in sent {
                client.write_all(piece).await.expect("send");
                tokio::task::yield_now().await;
            }
        };
        let receive = async {
            let (stream, _) = listener.accept().await.expect("accept");
            let (protocol, mut stream) = detect(stream).await.expect("detected");
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.expect("the rest");
            (protocol, received)
        };
        let ((), (protocol, received)) = tokio::join!(send, receive);
        assert_eq!((protocol, received), (expected, sent.concat()));
    }
}
