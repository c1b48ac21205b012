//! A TCP proxy that can be cut: the network between the pipeline and the broker.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Forwards connections to a target until it is cut, and again after it is mended.
#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    target: Option<SocketAddr>,
    connections: Vec<TcpStream>,
    cut: bool,
}

impl Proxy {
    /// Listens; refuses connections until it has a target.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let proxy = Self {
            address: listener.local_addr().expect("address"),
            state: Arc::default(),
        };
        let accepting = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepting.forward(client);
            }
        });
        proxy
    }

    /// Sets where connections go.
    pub fn target(&self, target: SocketAddr) {
        self.state.lock().expect("lock").target = Some(target);
    }

    /// Ends all connections and refuses new ones.
    pub fn cut(&self) {
        let mut state = self.state.lock().expect("lock");
        state.cut = true;
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.state.lock().expect("lock").cut = false;
    }

    fn forward(&self, client: TcpStream) {
        let mut state = self.state.lock().expect("lock");
        let target = state.target.filter(|_| !state.cut);
        let Some(server) = target.and_then(|target| TcpStream::connect(target).ok()) else {
            return;
        };
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) = (from.try_clone().expect("clone"), to.try_clone().expect("clone"));
            thread::spawn(move || {
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        state.connections.extend([client, server]);
    }
}
