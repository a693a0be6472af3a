//! A git server over HTTP: git's own `http-backend` behind a password, or one that never answers.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::world::command_lines;

/// `x-access-token:t0psecret`, as HTTP's basic authentication writes it.
const AUTHORIZATION: &str = "Basic eC1hY2Nlc3MtdG9rZW46dDBwc2VjcmV0";
/// What that says.
pub const TOKEN: &str = "t0psecret";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers whoever knows the token.
    Guarded,
    /// Takes requests and says nothing.
    Silent,
    /// Sends everybody elsewhere.
    Redirecting,
}

pub struct GitServer {
    pub port: u16,
    pub state: Arc<Mutex<State>>,
    _task: JoinSet<()>,
}

pub struct State {
    pub mood: Mood,
    /// How many requests came.
    pub requests: usize,
    /// How many of them knew the token.
    pub authorized: usize,
    /// The command lines of all processes that ran while one was answered.
    pub seen: Vec<String>,
}

impl GitServer {
    /// Serves the repositories in a folder.
    pub async fn start(root: PathBuf, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            mood,
            requests: 0,
            authorized: 0,
            seen: Vec::new(),
        }));
        let mut task = JoinSet::new();
        task.spawn({
            let state = Arc::clone(&state);
            async move {
                let mut open = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    open.spawn(answer(stream, root.clone(), Arc::clone(&state)));
                }
            }
        });
        Self {
            port,
            state,
            _task: task,
        }
    }

    pub fn host(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("{}/remote", self.host())
    }

    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }
}

async fn answer(mut stream: TcpStream, root: PathBuf, state: Arc<Mutex<State>>) {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        head.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let is_authorized = header("authorization").as_deref() == Some(AUTHORIZATION);
    let mood = {
        let mut state = state.lock().unwrap();
        state.requests += 1;
        state.authorized += usize::from(is_authorized);
        state.seen.extend(command_lines());
        state.mood
    };
    let refusal = match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Redirecting => Some("302 Found\r\nLocation: http://127.0.0.1:1/elsewhere"),
        Mood::Guarded if is_authorized => None,
        Mood::Guarded => Some("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\""),
    };
    if let Some(refusal) = refusal {
        let text = format!("HTTP/1.1 {refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        writer.write_all(text.as_bytes()).await.unwrap();
        return;
    }
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();

    let mut request = head[0].split(' ');
    let (method, target) = (request.next().unwrap(), request.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut backend = Command::new("git")
        .args(["-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REMOTE_USER", "x-access-token")
        .env("CONTENT_LENGTH", length.to_string())
        .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
        .env(
            "HTTP_CONTENT_ENCODING",
            header("content-encoding").unwrap_or_default(),
        )
        .env("GIT_PROTOCOL", header("git-protocol").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    backend
        .stdin
        .take()
        .unwrap()
        .write_all(&body)
        .await
        .unwrap();
    let output = backend.wait_with_output().await.unwrap().stdout;
    let output_text = String::from_utf8_lossy(&output);
    let status = output_text
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", status.trim());
    writer.write_all(head.as_bytes()).await.unwrap();
    writer.write_all(&output).await.unwrap();
}
