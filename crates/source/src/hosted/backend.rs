//! Serves one request of git's smart HTTP, by git's own `http-backend` (git-http-backend(1)).
//!
//! Nothing is kept in memory but a piece of what passes. The process is a group of its own, and ends with
//! whoever asked, with one exception: a push that has come whole is let end by itself, because refs may
//! have moved already, and the hook after them must still be run.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::HostedName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::SourceError;
use crate::git::{Conversation, Git, Hears};

/// How much is passed on at once, in bytes.
const PIECE: usize = 32 << 10;
/// How long a client may send nothing of a request that it has begun.
const SLOWEST: Duration = Duration::from_secs(5 * 60);
/// How long a push may go on that came whole from a client that is gone.
const AFTERMATH: Duration = Duration::from_secs(60);
/// How long git may take to clean up after itself once it is told to end.
const GRACE: Duration = Duration::from_secs(5);

/// What git asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitService {
    /// To clone or to fetch.
    UploadPack,
    /// To push.
    ReceivePack,
}

impl GitService {
    /// As addresses and media types have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// One request of git's.
#[derive(Clone, Debug)]
pub struct GitRequest {
    /// Of which repository.
    pub name: HostedName,
    /// What for.
    pub service: GitService,
    /// Whether it only asks what there is, as every exchange begins; it has no body.
    pub is_advertisement: bool,
    /// Which version of the protocol it would like (`Git-Protocol`).
    pub protocol: Option<String>,
    /// Whether its body is compressed.
    pub is_gzip: bool,
    /// How long its body is, in bytes, where that is known.
    pub length: Option<u64>,
}

/// A running request.
#[derive(Debug)]
pub struct Backend {
    service: GitService,
    git: Conversation,
}

impl Backend {
    pub(super) fn start(root: &Path, request: &GitRequest) -> Result<Self, SourceError> {
        let (service, folder) = (request.service, request.name.folder());
        let mut git = Git::plain("http-backend", Hears::Nobody)
            .env("GIT_PROJECT_ROOT", root)
            .env("GIT_HTTP_EXPORT_ALL", "1");
        // Also for a repository whose config somebody wrote.
        git = git.config("http.receivepack", "true");
        git = if request.is_advertisement {
            git.env("REQUEST_METHOD", "GET")
                .env("PATH_INFO", format!("/{folder}/info/refs"))
                .env("QUERY_STRING", format!("service={}", service.as_str()))
        } else {
            git.env("REQUEST_METHOD", "POST")
                .env("PATH_INFO", format!("/{folder}/{}", service.as_str()))
                .env(
                    "CONTENT_TYPE",
                    format!("application/x-{}-request", service.as_str()),
                )
        };
        if let Some(length) = request.length {
            git = git.env("CONTENT_LENGTH", length.to_string());
        }
        if request.is_gzip {
            git = git.env("HTTP_CONTENT_ENCODING", "gzip");
        }
        if let Some(protocol) = &request.protocol {
            git = git.env("GIT_PROTOCOL", protocol);
        }
        Ok(Self {
            service,
            git: git.start()?,
        })
    }

    /// Passes the body to git, and what git says (a CGI answer, RFC 3875 section 6) to `answer`, until git has
    /// ended. Ends git where the body breaks off, where nobody hears the answer any more, and at `stop`.
    pub async fn run(
        self,
        body: impl AsyncRead + Unpin,
        answer: mpsc::Sender<Bytes>,
        stop: impl Future<Output = ()>,
    ) {
        let Self { service, git } = self;
        let (stdin, mut stdout, mut stderr, running) = git.into_parts();
        let is_whole = AtomicBool::new(false);
        let read = async {
            loop {
                let mut piece = BytesMut::with_capacity(PIECE);
                match stdout.read_buf(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    // Nobody may hear it any more; git must be able to go on all the same.
                    Ok(_) => drop(answer.send(piece.freeze()).await),
                }
            }
        };
        let words = async {
            let mut last = Vec::new();
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = stderr.read(&mut piece).await {
                last.extend_from_slice(&piece[..count]);
                let surplus = last.len().saturating_sub(4096);
                last.drain(..surplus);
            }
            last
        };
        let broke_off = async {
            if feed(body, stdin).await {
                is_whole.store(true, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
        };
        let talk = async { tokio::join!(read, words).1 };
        let (mut talk, mut broke_off) = (std::pin::pin!(talk), std::pin::pin!(broke_off));
        let said = tokio::select! {
            said = &mut talk => Some(said),
            () = &mut broke_off => None,
            () = stop => None,
            () = answer.closed() => {
                let may_end = service == GitService::ReceivePack && is_whole.load(Ordering::Relaxed);
                if may_end { timeout(AFTERMATH, &mut talk).await.ok() } else { None }
            }
        };
        if let Some(said) = &said
            && !said.is_empty()
        {
            let said = String::from_utf8_lossy(said);
            tracing::info!(service = service.as_str(), said = said.trim(), "git said");
        }
        running.end(GRACE).await;
    }
}

/// Passes a body on and closes git's input; false where it broke off.
async fn feed(mut body: impl AsyncRead + Unpin, mut stdin: ChildStdin) -> bool {
    let mut piece = BytesMut::with_capacity(PIECE);
    loop {
        piece.clear();
        match timeout(SLOWEST, body.read_buf(&mut piece)).await {
            Ok(Ok(0)) => return true,
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return false,
        }
        // Where git hears no more, it says why.
        if stdin.write_all(&piece).await.is_err() {
            return true;
        }
    }
}
