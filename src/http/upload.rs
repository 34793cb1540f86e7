//! Multipart uploads: small fields, and one file that goes to disk as it comes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use axum::BoxError;
use axum::body::BodyDataStream;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use bytesize::ByteSize;
use futures::StreamExt as _;
use multer::Field;
use multer::Multipart;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::hex::hex;
use crate::http::App;
use crate::objects::ObjectName;
use crate::objects::ObjectWriter;
use crate::random::random;

/// A client that sends nothing for so long has gone.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long what is left of a refused upload is read, so that its sender comes to hear why.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// As many bytes of the body are held that are not yet a part, or a piece of one.
const UNREAD_MAX: u64 = 1 << 20;
/// What a field takes beside its name and its text.
const FIELD_BYTES: u64 = 64;
const FILE: &str = "file";
const CHUNKS_IN_FLIGHT: usize = 16;
const NAME_BYTES: usize = 16;

/// The fields of an upload, but for the file.
pub(super) type Fields = HashMap<String, String>;

/// A file that is whole and on disk, and gone if nobody keeps it.
pub(super) struct UploadedFile {
    /// As its sender calls it.
    pub(super) file_name: String,
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    kept: bool,
    app: App,
}

impl UploadedFile {
    /// From now on somebody else removes it.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for UploadedFile {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.app.objects.remove(&ObjectName::Upload { name: &self.name })
        {
            tracing::error!(%error, "cannot remove an upload");
        }
    }
}

/// An upload that is coming in.
pub(super) struct Upload {
    app: App,
    parts: Multipart<'static>,
    body: Arc<Body>,
    /// Bytes of the small fields so far.
    text_bytes: u64,
}

/// A part of it.
pub(super) enum Part {
    Text(String, String),
    /// The file, yet to be received.
    File(Box<FileField>),
}

/// The file of an upload while it comes.
pub(super) struct FileField {
    field: Field<'static>,
    body: Arc<Body>,
}

/// The body of an upload, of which the parser holds no more than a little before it makes something of it.
struct Body {
    stream: Mutex<BodyDataStream>,
    /// Bytes since a part began, or a piece of one was handed on.
    unread: AtomicU64,
}

impl Body {
    /// A part of the upload, or a piece of one.
    async fn read<T>(&self, reading: impl Future<Output = multer::Result<T>>) -> Result<T, Error> {
        let read = tokio::time::timeout(IDLE_TIMEOUT, reading).await;
        // Handed on, or at its end.
        self.unread.store(0, Ordering::Relaxed);
        let read = read.map_err(|_| {
            Error::invalid(format!(
                "nothing of the body arrived for {} seconds",
                IDLE_TIMEOUT.as_secs()
            ))
        })?;
        read.map_err(|error| match error {
            multer::Error::StreamReadFailed(cause) => {
                Error::invalid(format!("the body cannot be read: {cause}"))
            }
            error => Error::invalid(format!("the body cannot be read: {error}")),
        })
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let next = ready!(stream.poll_next_unpin(context));
        Poll::Ready(next.map(|bytes| bytes.map_err(BoxError::from)))
    }

    fn poll_bounded(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let next = ready!(self.poll_next(context));
        let Some(Ok(bytes)) = &next else {
            return Poll::Ready(next);
        };
        let unread = self.unread.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(match unread > UNREAD_MAX {
            true => Some(Err("the headers of a part are too long, or no part begins".into())),
            false => next,
        })
    }
}

impl Upload {
    pub(super) fn new(app: &App, request: Request) -> Result<Self, Error> {
        let content_type = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let boundary = content_type
            .and_then(|text| multer::parse_boundary(text).ok())
            .ok_or_else(|| Error::invalid("the body must be multipart/form-data with a field `file`"))?;
        let body = Arc::new(Body {
            stream: Mutex::new(request.into_body().into_data_stream()),
            unread: AtomicU64::new(0),
        });
        let stream = {
            let body = body.clone();
            futures::stream::poll_fn(move |context| body.poll_bounded(context))
        };
        Ok(Self {
            app: app.clone(),
            parts: Multipart::new(stream, boundary),
            body,
            text_bytes: 0,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Part>, Error> {
        let Some(field) = self.body.read(self.parts.next_field()).await? else {
            return Ok(None);
        };
        let name = field.name().unwrap_or_default().to_owned();
        Ok(Some(match name.as_str() {
            FILE => Part::File(Box::new(FileField {
                field,
                body: self.body.clone(),
            })),
            _ => {
                let text = self.receive_text(&name, field).await?;
                Part::Text(name, text)
            }
        }))
    }

    async fn receive_text(&mut self, name: &str, mut field: Field<'static>) -> Result<String, Error> {
        let mut text = Vec::new();
        self.count(name.len() as u64 + FIELD_BYTES)?;
        while let Some(chunk) = self.body.read(field.chunk()).await? {
            self.count(chunk.len() as u64)?;
            text.extend_from_slice(&chunk);
        }
        String::from_utf8(text).map_err(|_| Error::invalid(format!("the field `{name}` is not UTF-8")))
    }

    fn count(&mut self, bytes: u64) -> Result<(), Error> {
        let max = self.app.config.request_bytes_max;
        self.text_bytes += bytes;
        if self.text_bytes > max.as_u64() {
            let message =
                format!("the fields beside `file` are over the limit of {max} (setting `request_bytes_max`)");
            return Err(Error::new(ErrorCode::TooLarge, message));
        }
        Ok(())
    }

    /// Reads what is left of an upload that is refused:
    /// whoever is still sending would else see a broken connection instead of the answer.
    pub(super) async fn drain(self) {
        let drained = tokio::time::timeout(DRAIN_TIMEOUT, async {
            while let Some(Ok(_)) = poll_fn(|context| self.body.poll_next(context)).await {}
        });
        if drained.await.is_err() {
            tracing::debug!("a refused upload was not read to its end");
        }
    }
}

pub(super) async fn receive_file(app: &App, file: Box<FileField>) -> Result<UploadedFile, Error> {
    let FileField { mut field, body } = *file;
    let name = hex(&random::<NAME_BYTES>()?);
    let file_name = plain_name(field.file_name().unwrap_or("upload.csv"));
    let max = app.config.upload_bytes_max;
    let writer = app
        .objects
        .create(&ObjectName::Upload { name: &name }, ByteSize::b(u64::MAX));
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let owner = app.clone();
    // Should nobody wait for it any more, it goes with what this returns.
    let writing = tokio::task::spawn_blocking(move || {
        let (bytes, sha256) = write(writer, receiver)?;
        Ok::<_, Error>(UploadedFile {
            file_name,
            name,
            bytes,
            sha256,
            kept: false,
            app: owner,
        })
    });
    let mut bytes = 0;
    while let Some(chunk) = body.read(field.chunk()).await? {
        bytes += chunk.len() as u64;
        if bytes > max.as_u64() {
            let message = format!("the file is over the limit of {max} (setting `upload_bytes_max`)");
            return Err(Error::new(ErrorCode::TooLarge, message));
        }
        if sender.send(Piece::Bytes(chunk)).await.is_err() {
            break;
        }
    }
    // Without this word the file is not whole. If nobody hears it, writing has failed and says why.
    let _ = sender.send(Piece::End).await;
    drop(sender);
    writing.await.map_err(Error::internal)?
}

enum Piece {
    Bytes(Bytes),
    End,
}

/// Writes what comes, and says how long it is and its SHA-256. A file that breaks off never gets its name.
fn write(mut writer: ObjectWriter, mut receiver: mpsc::Receiver<Piece>) -> Result<(u64, String), Error> {
    let mut hash = Sha256::new();
    while let Some(piece) = receiver.blocking_recv() {
        match piece {
            Piece::Bytes(bytes) => {
                hash.update(&bytes);
                writer.write_all(&bytes)?;
            }
            Piece::End => {
                let bytes = writer.publish_file()?;
                return Ok((bytes, hex(&hash.finalize())));
            }
        }
    }
    Err(Error::invalid("the upload broke off"))
}

/// The last part of a path, without what could forge a line.
fn plain_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .filter(|character| !character.is_control())
        .take(200)
        .collect();
    match plain.is_empty() {
        true => "upload.csv".to_owned(),
        false => plain,
    }
}
