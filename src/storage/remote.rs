//! Reads, listings and writes of one origin, in `object_store`'s terms, and its errors in ours.
//!
//! Each function makes the requests of one step: a read is one GET, a page of a listing one request. The wire below has
//! compared ranges and lengths already; here dialects differ and refusals get their meaning.

use bytes::Bytes;
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{
    Attribute, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode,
    PutPayload, PutResult, UpdateVersion,
};
use url::Url;

use super::call::Call;
use super::error::{ErrorKind, Fault, Operation};
use super::origins::{self, Bucket, Origin};
use super::page;
use super::upload::{self, PARTS_FROM};
use super::versioned::{Expected, Version, not_as_expected};
use super::wire::Wire;
use super::{Fetched, Folder, Listed};
use crate::location::{ByteRange, Location};
use crate::time::Instant;

/// Reads a range, or the whole object where there is none.
pub(super) async fn fetch(
    origin: Origin,
    call: &Call,
    range: Option<ByteRange>,
) -> Result<Fetched, Fault> {
    match origin {
        Origin::Bucket(bucket) => {
            let path = path_of(call.location.key())?;
            fetch_from(
                bucket.objects.as_ref(),
                &path,
                call,
                range,
                bucket.anonymous,
            )
            .await
        }
        Origin::Web(wire) => {
            let store = origins::web(call.location.as_str(), wire)?;
            fetch_from(&store, &Path::ROOT, call, range, true).await
        }
    }
}

async fn fetch_from(
    store: &dyn ObjectStore,
    path: &Path,
    call: &Call,
    range: Option<ByteRange>,
    anonymous: bool,
) -> Result<Fetched, Fault> {
    let options = GetOptions {
        range: range.map(|range| match range.length {
            Some(length) => GetRange::Bounded(range.offset..range.offset.saturating_add(length)),
            None => GetRange::Offset(range.offset),
        }),
        ..GetOptions::default()
    };
    let meaning = |error| meaning(&error, call, anonymous);
    let result = store.get_opts(path, options).await.map_err(meaning)?;
    let meta = result.meta.clone();
    let content_type = result.attributes.get(&Attribute::ContentType).cloned();
    let bytes = result.bytes().await.map_err(meaning)?;
    if range.is_none() {
        let key = call.location.key();
        page::refuse_page(content_type.as_deref(), key)?;
        page::refuse_body(&bytes, key)?;
    }
    Ok(Fetched {
        bytes,
        object_size: (!call.story().size_unknown).then_some(meta.size),
        modified: modified(&meta),
        etag: meta.e_tag,
        number: meta.version,
    })
}

/// `object_store` writes 1970 where the server names no date.
fn modified(meta: &ObjectMeta) -> Option<Instant> {
    let seconds = meta.last_modified.timestamp();
    (seconds != 0).then_some(Instant(seconds))
}

/// One page of a listing, and the token of the next. `folders` stops at the next slash.
pub(super) async fn list_page(
    origin: Origin,
    call: &Call,
    token: Option<String>,
    folders: bool,
) -> Result<(Folder, Option<String>), Fault> {
    match origin {
        Origin::Bucket(bucket) => list_bucket(&bucket, call, token, folders).await,
        Origin::Web(wire) => Ok((list_web(wire, call, folders).await?, None)),
    }
}

async fn list_bucket(
    bucket: &Bucket,
    call: &Call,
    token: Option<String>,
    folders: bool,
) -> Result<(Folder, Option<String>), Fault> {
    let options = PaginatedListOptions {
        page_token: token,
        delimiter: folders.then_some("/".into()),
        ..PaginatedListOptions::default()
    };
    let prefix = call.location.key();
    let page = bucket
        .pages
        .list_paginated((!prefix.is_empty()).then_some(prefix), options)
        .await
        .map_err(|error| meaning(&error, call, bucket.anonymous))?;
    let origin = call.location.origin();
    let place = |path: &Path, slash: &str| location(&format!("{origin}/{path}{slash}"));
    let mut folder = Folder::default();
    for meta in page.result.objects {
        // Markers of folders are objects of no bytes whose key ends with a slash, which object_store drops.
        if meta.size == 0
            && prefix.ends_with('/')
            && prefix.trim_end_matches('/') == meta.location.as_ref()
        {
            continue;
        }
        folder.files.push(Listed {
            location: place(&meta.location, "")?,
            size: meta.size,
            modified: modified(&meta),
            etag: meta.e_tag,
        });
    }
    for path in page.result.common_prefixes {
        folder.folders.push(place(&path, "/")?);
    }
    Ok((folder, page.page_token))
}

/// Lists by `WebDAV`, the only listing that HTTP knows.
async fn list_web(wire: Wire, call: &Call, folders: bool) -> Result<Folder, Fault> {
    let store = origins::web(call.location.origin(), wire)?;
    let path = Path::from_url_path(call.location.key()).map_err(|error| bad_key(&error))?;
    let prefix = (path != Path::ROOT).then_some(&path);
    let listed = if folders {
        store.list_with_delimiter(prefix).await
    } else {
        use futures::TryStreamExt as _;
        let objects: Result<Vec<_>, _> = store.list(prefix).try_collect().await;
        objects.map(|objects| object_store::ListResult {
            objects,
            common_prefixes: Vec::new(),
            extensions: Default::default(),
        })
    };
    let listed = listed.map_err(|error| {
        let fault = meaning(&error, call, true);
        let story = call.story();
        let needs_login = story
            .refusal
            .as_ref()
            .is_some_and(|(status, _)| *status == 401);
        if story.fault.is_some() || needs_login {
            return fault;
        }
        // Servers without WebDAV say so in many ways, by a page with status 200 among them.
        let cause = "cannot list over plain HTTP; give the names, for example with {a..b} patterns";
        Fault::new(ErrorKind::Unsupported, cause)
    })?;
    // `object_store` takes a 404 for an empty folder.
    if let Some((404, words)) = call.story().refusal.clone() {
        let cause = format!("{words}: no such folder, or a server that cannot list");
        return Err(Fault::new(ErrorKind::NotFound, cause));
    }
    let origin = call.location.origin();
    let mut folder = Folder::default();
    for meta in listed.objects {
        folder.files.push(Listed {
            location: web_location(origin, &meta.location, false)?,
            size: meta.size,
            modified: modified(&meta),
            etag: meta.e_tag,
        });
    }
    for path in listed.common_prefixes {
        folder.folders.push(web_location(origin, &path, true)?);
    }
    Ok(folder)
}

/// Writes a whole object; gives its version.
pub(super) async fn put(origin: Origin, call: &Call, bytes: Bytes) -> Result<Version, Fault> {
    if bytes.len() <= PARTS_FROM {
        return put_one(origin, call, bytes, PutMode::Overwrite).await;
    }
    let Origin::Bucket(bucket) = origin else {
        return put_one(origin, call, bytes, PutMode::Overwrite).await;
    };
    let path = path_to_write(&bucket, call)?;
    let mut again = true;
    loop {
        let failed = match upload::in_parts(bucket.objects.as_ref(), &path, &bytes).await {
            Ok(put) => return Ok(version(put)),
            Err(error) => meaning(&error, call, bucket.anonymous),
        };
        // Parts that are not known any more: their completion was sent twice since its answer was lost, or a rule removed them.
        if failed.kind != ErrorKind::NotFound || !std::mem::take(&mut again) {
            return Err(failed);
        }
        call.forget_refusal();
    }
}

/// Writes a whole object if what lies there is what is expected; gives its version.
pub(super) async fn put_if(
    origin: Origin,
    call: &Call,
    bytes: Bytes,
    expected: &Expected,
) -> Result<Version, Fault> {
    let mode = match expected {
        Expected::Nothing => PutMode::Create,
        Expected::This(known) if known.is_unknown() => PutMode::Overwrite,
        Expected::This(known) => PutMode::Update(UpdateVersion {
            e_tag: known.etag.clone(),
            version: known.number.clone(),
        }),
    };
    let is_conditional = !matches!(mode, PutMode::Overwrite);
    let done = put_one(origin, call, bytes, mode).await;
    done.map_err(|fault| {
        // A version that is gone is another one, too.
        let is_other = fault.kind == ErrorKind::Changed
            || (is_conditional && fault.kind == ErrorKind::NotFound);
        if is_other {
            not_as_expected(expected, &fault.cause)
        } else {
            fault
        }
    })
}

async fn put_one(
    origin: Origin,
    call: &Call,
    bytes: Bytes,
    mode: PutMode,
) -> Result<Version, Fault> {
    let payload = PutPayload::from_bytes(bytes);
    let (done, anonymous) = match origin {
        Origin::Bucket(bucket) => {
            let path = path_to_write(&bucket, call)?;
            let done = bucket.objects.put_opts(&path, payload, mode.into()).await;
            (done, bucket.anonymous)
        }
        Origin::Web(wire) => {
            let store = origins::web(call.location.origin(), wire)?;
            let path = Path::from_url_path(call.location.key()).map_err(|error| bad_key(&error))?;
            (store.put_opts(&path, payload, mode.into()).await, true)
        }
    };
    done.map(version)
        .map_err(|error| meaning(&error, call, anonymous))
}

fn version(put: PutResult) -> Version {
    Version {
        etag: put.e_tag,
        number: put.version,
    }
}

/// The path of an object that is to be written.
fn path_to_write(bucket: &Bucket, call: &Call) -> Result<Path, Fault> {
    if bucket.anonymous && call.location.scheme() == "gs" {
        return Err(
            Fault::new(ErrorKind::Unsupported, "writing to gs:// needs credentials")
                .advising("set GOOGLE_APPLICATION_CREDENTIALS"),
        );
    }
    path_of(call.location.key())
}

/// Removes an object.
pub(super) async fn remove(origin: Origin, call: &Call) -> Result<(), Fault> {
    let (done, anonymous) = match origin {
        Origin::Bucket(bucket) => {
            let path = path_of(call.location.key())?;
            (bucket.objects.delete(&path).await, bucket.anonymous)
        }
        Origin::Web(wire) => {
            let store = origins::web(call.location.origin(), wire)?;
            let path = Path::from_url_path(call.location.key()).map_err(|error| bad_key(&error))?;
            (store.delete(&path).await, true)
        }
    };
    done.map_err(|error| meaning(&error, call, anonymous))
}

/// What an error of `object_store` means, given what the wire saw.
fn meaning(error: &object_store::Error, call: &Call, anonymous: bool) -> Fault {
    let story = call.story();
    if let Some(fault) = story.fault.clone() {
        return fault;
    }
    let Some((status, words)) = story.refusal.clone() else {
        return Fault::new(kind_of(error), innermost(error));
    };
    let absent = matches!(error, object_store::Error::NotFound { .. });
    let kind = match status {
        // Services that hand out credentials answer 404 too, and that says nothing of the object.
        404 if absent || call.operation == Operation::List => ErrorKind::NotFound,
        404 => ErrorKind::Forbidden,
        410 => ErrorKind::NotFound,
        401 | 403 => ErrorKind::Forbidden,
        412 => ErrorKind::Changed,
        // Conditional writes: what Azure says of a name that is taken, S3 of two at once, others instead of 412.
        409 | 304 if call.operation == Operation::Write => ErrorKind::Changed,
        501 => ErrorKind::Unsupported,
        416 => ErrorKind::Truncated,
        // S3 answers stale or garbled credentials with 400.
        400 if words.contains("Token") || words.contains("Authorization") => ErrorKind::Forbidden,
        _ => ErrorKind::Unavailable,
    };
    let cause = if status == 416 {
        format!("the object ends before the range: {words}")
    } else {
        words
    };
    let fault = Fault::new(kind, cause);
    match (kind, call.location.scheme(), anonymous) {
        (ErrorKind::Forbidden, "s3" | "gs" | "az" | "abfs" | "abfss", true) => {
            fault.advising("it may need credentials: see --profile, and leave out --anonymous")
        }
        (ErrorKind::Forbidden, "s3" | "gs" | "az" | "abfs" | "abfss", false) => {
            fault.advising("try --anonymous")
        }
        _ => fault,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign enum: what is not named is an answer that cannot be read"
)]
fn kind_of(error: &object_store::Error) -> ErrorKind {
    use object_store::Error;
    match error {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ErrorKind::Forbidden,
        Error::Precondition { .. } | Error::NotModified { .. } | Error::AlreadyExists { .. } => {
            ErrorKind::Changed
        }
        Error::NotSupported { .. } | Error::NotImplemented { .. } | Error::InvalidPath { .. } => {
            ErrorKind::Unsupported
        }
        Error::UnknownConfigurationKey { .. } => ErrorKind::Config,
        _ => ErrorKind::Unavailable,
    }
}

/// The innermost words: the outer ones repeat URLs, which may be signed.
fn innermost(error: &object_store::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

fn bad_key(error: &object_store::path::Error) -> Fault {
    Fault::new(ErrorKind::Unsupported, error.to_string())
}

fn path_of(key: &str) -> Result<Path, Fault> {
    Path::parse(key).map_err(|error| bad_key(&error))
}

fn location(url: &str) -> Result<Location, Fault> {
    Location::parse(url, std::path::Path::new("/"))
        .map_err(|error| Fault::new(ErrorKind::Unsupported, error.to_string()))
}

/// The URL of a path on a web server, escaped as URLs are.
fn web_location(origin: &str, path: &Path, folder: bool) -> Result<Location, Fault> {
    let bad = |cause: String| Fault::new(ErrorKind::Unsupported, cause);
    let mut url = Url::parse(origin).map_err(|error| bad(error.to_string()))?;
    {
        let mut segments = url
            .path_segments_mut()
            .map_err(|()| bad("not a URL".to_owned()))?;
        segments
            .clear()
            .extend(path.parts().map(|part| part.as_ref().to_owned()));
        if folder {
            segments.push("");
        }
    }
    location(url.as_str())
}
