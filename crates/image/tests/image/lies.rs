//! Registries that lie, stall, break off, or ask who it is. No real one does at will.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image::{Credential, ImageError, ImageName, Puller};

use super::made::{Made, World, architecture, digest, is_root, layer, made, text};

/// How a blob or manifest is answered.
#[derive(Clone)]
enum Answer {
    Whole(Vec<u8>),
    /// So many bytes of it, and then the connection ends. What is asked for from some byte on, is whole.
    Cut(Vec<u8>, usize),
    /// So many bytes of it, and then nothing.
    Stall(Vec<u8>, usize),
}

struct Liar {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    /// Answers paths that end so, `login` being asked for where it is given.
    fn start(answers: HashMap<String, Answer>, login: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, heard) = (answers.clone(), Arc::clone(&heard));
                std::thread::spawn(move || {
                    let _ = answer(stream, &answers, login, &heard);
                });
            }
        });
        Self { host, asked }
    }
}

fn answer(
    mut stream: TcpStream,
    answers: &HashMap<String, Answer>,
    login: Option<&str>,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let begin = headers.get("range").and_then(|range| {
        let range = range.strip_prefix("bytes=")?.strip_suffix('-')?;
        range.parse::<usize>().ok()
    });
    heard.lock().unwrap().push(format!("{path} {begin:?}"));
    if login.is_some_and(|login| {
        headers
            .get("authorization")
            .is_none_or(|given| given != login)
    }) {
        let realm = "WWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close";
        return stream.write_all(format!("HTTP/1.1 401 No\r\n{realm}\r\n\r\n").as_bytes());
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let found = answers.get(name);
    let (body, most, stalls) = match found.cloned() {
        None if path == "/v2/" => (Vec::new(), 0, false),
        None => {
            let no = "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.write_all(no.as_bytes());
        }
        Some(Answer::Whole(body)) => (body, usize::MAX, false),
        Some(Answer::Cut(body, most)) => (body, most, false),
        Some(Answer::Stall(body, most)) => (body, most, true),
    };
    let (status, body, most) = match begin {
        Some(begin) => ("206 Partial Content", body[begin..].to_vec(), usize::MAX),
        None => ("200 OK", body, most),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body[..most.min(length)])?;
    stream.flush()?;
    if stalls {
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

fn image() -> Made {
    // Of what does not pack well.
    let much = (0..200_000_u64).map(|number| number.wrapping_mul(number) % 9973);
    let much = much.map(|number| number.to_string()).collect::<String>();
    made(&[layer(&[("a", &much)])], architecture())
}

/// What an honest registry answers.
fn honest(image: &Made) -> HashMap<String, Answer> {
    let mut answers = HashMap::from([("1".to_owned(), Answer::Whole(image.manifest.clone()))]);
    for blob in image.layers.iter().chain([&image.config]) {
        answers.insert(digest(blob), Answer::Whole(blob.clone()));
    }
    answers
}

async fn refused(answers: HashMap<String, Answer>) -> ImageError {
    let liar = Liar::start(answers, None);
    let world = World::with(|settings| settings.patience = Duration::from_millis(300));
    let error = world
        .provide(&format!("{}/a:1", liar.host))
        .await
        .unwrap_err();
    assert!(world.entries("layers").is_empty() && world.entries("images").is_empty());
    error
}

#[tokio::test]
async fn a_registry_that_lies_is_found_out() {
    if !is_root() {
        return;
    }
    let image = image();
    let (blob, config) = (&image.layers[0], &image.config);
    let mut other = blob.clone();
    *other.last_mut().unwrap() ^= 1;
    let short = blob[..100].to_vec();
    let long = [blob.as_slice(), b"more"].concat();
    let mut lies = Vec::new();
    for lie in [other, short, long] {
        let mut answers = honest(&image);
        answers.insert(digest(blob), Answer::Whole(lie));
        lies.push(answers);
    }
    let mut answers = honest(&image);
    answers.insert(digest(config), Answer::Whole(b"{}".to_vec()));
    lies.push(answers);
    for error in futures_util::future::join_all(lies.into_iter().map(refused)).await {
        assert!(matches!(error, ImageError::Rejected(_)), "{error}");
        assert!(
            error.to_string().contains("sends something else"),
            "{error}"
        );
    }
    // What it says of the layer is not what its configuration says.
    let mut wrong = made(&[layer(&[("a", "x")])], architecture());
    wrong.layers = image.layers;
    let text = String::from_utf8(image.manifest).unwrap();
    let text = text.replace(&digest(&image.config), &digest(&wrong.config));
    let text = text.replace(
        &format!("\"size\":{}", image.config.len()),
        &format!("\"size\":{}", wrong.config.len()),
    );
    wrong.manifest = text.into_bytes();
    let error = refused(honest(&wrong)).await.to_string();
    assert!(error.contains("not what its configuration says"), "{error}");
}

#[tokio::test]
async fn a_registry_that_stalls_is_given_up() {
    if !is_root() {
        return;
    }
    let image = image();
    for (name, body) in [
        ("1".to_owned(), &image.manifest),
        (digest(&image.config), &image.config),
    ] {
        let mut answers = honest(&image);
        answers.insert(name, Answer::Stall(body.clone(), 10));
        let error = refused(answers).await;
        assert!(matches!(error, ImageError::Unavailable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    if !is_root() {
        return;
    }
    let image = image();
    let blob = digest(&image.layers[0]);
    for broken in [
        Answer::Cut(image.layers[0].clone(), 10_000),
        Answer::Stall(image.layers[0].clone(), 10_000),
    ] {
        let mut answers = honest(&image);
        answers.insert(blob.clone(), broken);
        let liar = Liar::start(answers, None);
        let world = World::with(|settings| settings.patience = Duration::from_millis(300));
        let held = world.provide(&format!("{}/a:1", liar.host)).await.unwrap();
        assert!(text(&held, 0, "a").starts_with("0149"));
        let asked = liar.asked.lock().unwrap();
        let blobs = asked.iter().filter(|asked| asked.contains(&blob));
        let begins = blobs
            .map(|asked| asked.rsplit_once(' ').unwrap().1)
            .collect::<Vec<_>>();
        assert_eq!(begins, ["None", "Some(10000)"]);
    }
}

#[tokio::test]
async fn a_pull_that_died_is_gone_on_with() {
    if !is_root() {
        return;
    }
    let image = image();
    let blob = digest(&image.layers[0]);
    let mut answers = honest(&image);
    answers.insert(blob.clone(), Answer::Cut(image.layers[0].clone(), 0));
    let liar = Liar::start(answers, None);
    let world = World::new();
    let tmp = world.folder.path().join("images/tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    let diff_id = digest(&layer_of(&image));
    let digits = diff_id.strip_prefix("sha256:").unwrap();
    // As it leaves them: half of a download, and half of a tree.
    std::fs::write(tmp.join(format!("{digits}.part")), &image.layers[0][..5000]).unwrap();
    std::fs::create_dir_all(tmp.join(digits).join("tree/half")).unwrap();
    let held = world.provide(&format!("{}/a:1", liar.host)).await.unwrap();
    assert!(!held.layers[0].tree.join("half").exists());
    let asked = liar.asked.lock().unwrap().join("\n");
    assert!(asked.contains(&format!("{blob} Some(5000)")), "{asked}");
    assert!(world.entries("tmp").is_empty());
}

fn layer_of(image: &Made) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut from = flate2::read::GzDecoder::new(image.layers[0].as_slice());
    std::io::Read::read_to_end(&mut from, &mut plain).unwrap();
    plain
}

#[tokio::test]
async fn a_private_image_is_pulled_by_whom_it_is_given_to() {
    if !is_root() {
        return;
    }
    let image = image();
    // `me:secret`
    let liar = Liar::start(honest(&image), Some("Basic bWU6c2VjcmV0"));
    let world = World::new();
    let name = format!("{}/a:1", liar.host);
    let error = world.provide(&name).await.unwrap_err();
    assert!(matches!(error, ImageError::Rejected(_)), "{error}");
    assert!(error.to_string().contains("private"), "{error}");
    let (username, password) = ("me".to_owned(), "secret".to_owned());
    let credential = Credential::Account { username, password };
    assert!(!format!("{credential:?}").contains("secret"));
    let name = ImageName::parse(&name).unwrap();
    world
        .store
        .provide(&name, Puller::Account(&credential), &|_| {})
        .await
        .unwrap();
}
