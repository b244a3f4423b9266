//! Large objects go up in parts, several at once: a part that is lost is sent again, not all of them.
//!
//! Readers see the object when all parts are there and it was completed, as with one PUT.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{MultipartUpload as _, ObjectStore, ObjectStoreExt as _, PutPayload, PutResult};

/// Objects larger than this go up in parts.
pub(super) const PARTS_FROM: usize = 32 << 20;
/// Bytes of a part: S3 takes 5 MiB or more, and 10,000 parts, so that 10,000 of these are more than it takes of one PUT.
const PART: usize = 8 << 20;
/// Parts under way at once.
const AT_ONCE: usize = 4;

/// Writes an object in parts.
///
/// # Errors
/// What the service says; then the parts are given up.
pub(super) async fn in_parts(
    objects: &dyn ObjectStore,
    path: &Path,
    bytes: &Bytes,
) -> object_store::Result<PutResult> {
    let part_bytes = PART.max(bytes.len().div_ceil(10_000));
    let mut upload = objects.put_multipart(path).await?;
    let starts = (0..bytes.len()).step_by(part_bytes);
    // Polled here and not in tasks of their own, which would not know whose work they are.
    let sent = futures::stream::iter(starts)
        .map(|start| {
            let end = (start + part_bytes).min(bytes.len());
            upload.put_part(PutPayload::from_bytes(bytes.slice(start..end)))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await;
    let done = match sent {
        Ok(()) => upload.complete().await,
        Err(error) => Err(error),
    };
    if let Err(error) = &done {
        tracing::debug!(%path, %error, "an upload in parts is given up");
        // The failure above is the one to tell. Services remove such parts by a rule of the bucket, too.
        drop(upload.abort().await);
    }
    done
}
