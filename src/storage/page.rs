//! Documents that come in place of data: web pages, and the XML in which object stores explain a refusal.
//!
//! A proxy's login page is served with status 200; saved as an index file it would be an index without lines.

use super::error::{ErrorKind, Fault};

/// Refuses an answer that is a document by its declared type, unless the object is one by its name.
///
/// # Errors
/// [`ErrorKind::NotData`].
pub(super) fn refuse_page(content_type: Option<&str>, key: &str) -> Result<(), Fault> {
    let declared = content_type
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase())
        .unwrap_or_default();
    let document = matches!(
        declared.as_str(),
        "text/html" | "application/xhtml+xml" | "application/xml" | "text/xml"
    );
    if document && !is_document(key) {
        let cause = format!("the server sent {declared}: an error or login page?");
        return Err(Fault::new(ErrorKind::NotData, cause));
    }
    Ok(())
}

/// Refuses a body that begins like a document, unless the object is one by its name.
///
/// # Errors
/// [`ErrorKind::NotData`].
pub(super) fn refuse_body(body: &[u8], key: &str) -> Result<(), Fault> {
    let head = body
        .trim_ascii_start()
        .get(..16)
        .unwrap_or(body)
        .to_ascii_lowercase();
    let starts = ["<!doctype html", "<html", "<?xml", "<error>"];
    if !is_document(key)
        && starts
            .iter()
            .any(|start| head.starts_with(start.as_bytes()))
    {
        let cause = "the body is an HTML or XML document: an error or login page?";
        return Err(Fault::new(ErrorKind::NotData, cause));
    }
    Ok(())
}

fn is_document(key: &str) -> bool {
    let path = key.split('?').next().unwrap_or(key).to_ascii_lowercase();
    [".html", ".htm", ".xml"]
        .iter()
        .any(|suffix| path.ends_with(suffix))
}

/// Code and message of an object store's XML refusal: `AccessDenied: Access Denied`. Nothing else of it is shown: S3
/// repeats the key id and the signed text.
pub(super) fn error_words(document: &[u8]) -> Option<String> {
    let document = std::str::from_utf8(document).ok()?;
    let element = |name: &str| {
        let (_, rest) = document.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once(&format!("</{name}>"))?;
        let plain: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
        Some(plain)
    };
    let code = element("Code")?;
    Some(match element("Message") {
        Some(message) if message != code => format!("{code}: {message}"),
        Some(_) | None => code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_refused_unless_asked_for() {
        assert!(refuse_page(Some("text/html; charset=utf-8"), "a.grib2").is_err());
        assert!(refuse_page(Some("application/xml"), "a.idx").is_err());
        assert!(refuse_page(Some("text/html"), "a.html?x=1").is_ok());
        assert!(refuse_page(Some("text/plain"), "a.idx").is_ok());
        assert!(refuse_page(None, "a.idx").is_ok());
        assert!(refuse_body(b"\n<!DOCTYPE HTML><html>", "a.idx").is_err());
        assert!(refuse_body(b"<html>", "a.idx").is_err());
        assert!(refuse_body(b"1:0:d=2026", "a.idx").is_ok());
        assert!(refuse_body(b"", "a.idx").is_ok());
    }

    #[test]
    fn refusals_are_quoted_without_secrets() {
        let document = b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>No match</Message>\
                         <AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(
            error_words(document).as_deref(),
            Some("SignatureDoesNotMatch: No match")
        );
        assert_eq!(error_words(b"<html>"), None);
    }
}
