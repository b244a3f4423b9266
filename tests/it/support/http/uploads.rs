//! What object stores are asked when something is written: PUT with conditions, uploads in parts (S3's and Google's, Azure's blocks), DELETE.

use std::collections::BTreeMap;
use std::net::TcpStream;

use super::{Fault, Request, Shared, decode, lock, send};

/// Parts of an upload by their numbers, or blocks by their names.
pub(super) type Parts = BTreeMap<String, Vec<u8>>;

/// The number that Google Cloud Storage has for a version of an object.
pub(super) fn generation(etag: &str) -> String {
    let hash = u64::from_str_radix(etag.trim_matches('"'), 16);
    hash.map_or(1, |hash| hash >> 1).to_string()
}

impl Shared {
    /// Answers PUT, POST and DELETE.
    pub(super) fn write(
        &self,
        request: &Request,
        fault: Option<&Fault>,
        stream: &TcpStream,
    ) -> std::io::Result<bool> {
        let query: Vec<(&str, &str)> = request
            .query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let get = |name: &str| {
            query
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        };
        if get("comp") == Some("batch") {
            return self.remove_batch(request, stream);
        }
        let answer = match (request.method.as_str(), get("uploadId")) {
            ("PUT", None) if get("comp") == Some("block") => {
                let name = decode(get("blockid").unwrap_or_default());
                let mut uploads = lock(&self.uploads);
                let blocks = uploads.entry(request.path.clone()).or_default();
                blocks.insert(name, request.body.clone());
                Some((201, Some("\"block\"".to_owned()), String::new()))
            }
            ("PUT", None) if get("comp") == Some("blocklist") => {
                let blocks = lock(&self.uploads).remove(&request.path).unwrap_or_default();
                let list = String::from_utf8_lossy(&request.body).into_owned();
                let names = list.split("<Uncommitted>").skip(1).filter_map(|rest| rest.split('<').next());
                let bytes = names.map(|name| blocks.get(name).cloned());
                let whole: Option<Vec<Vec<u8>>> = bytes.collect();
                whole.map(|parts| (201, Some(self.put(&request.path, parts.concat())), String::new()))
            }
            ("POST", None) if get("uploads").is_some() => {
                let id = format!("upload-{}", lock(&self.uploads).len() + 1);
                lock(&self.uploads).insert(id.clone(), Parts::new());
                let path = request.path.trim_start_matches('/');
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                Some((200, None, format!(
                    "<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                )))
            }
            ("PUT", Some(id)) => {
                let number: u32 = get("partNumber").and_then(|text| text.parse().ok()).unwrap_or(0);
                let number = format!("{number:05}");
                let mut uploads = lock(&self.uploads);
                uploads.get_mut(id).map(|parts| {
                    let etag = format!("\"part-{number}\"");
                    parts.insert(number, request.body.clone());
                    (200, Some(etag), String::new())
                })
            }
            ("POST", Some(id)) => lock(&self.uploads).remove(id).map(|parts| {
                self.put(&request.path, parts.into_values().flatten().collect());
                (200, None, "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>".to_owned())
            }),
            ("DELETE", Some(id)) => {
                lock(&self.uploads).remove(id);
                Some((204, None, String::new()))
            }
            ("DELETE", None) => {
                lock(&self.objects).remove(&request.path);
                Some((204, None, String::new()))
            }
            ("PUT", None) => Some(self.put_if(request)),
            _ => Some((405, None, String::new())),
        };
        let (status, etag, body) = answer.unwrap_or_else(|| {
            (
                404,
                None,
                "<Error><Code>NoSuchUpload</Code></Error>".to_owned(),
            )
        });
        if matches!(fault, Some(Fault::LostAnswer)) {
            return Ok(false);
        }
        let mut headers = vec!["Content-Type: application/xml".to_owned()];
        headers.extend(etag.as_ref().map(|etag| format!("ETag: {etag}")));
        headers.extend(etag.map(|etag| format!("x-goog-generation: {}", generation(&etag))));
        send(stream, status, &headers, body.as_bytes())
    }

    /// Azure's removal of several blobs, of which one is asked for.
    fn remove_batch(&self, request: &Request, stream: &TcpStream) -> std::io::Result<bool> {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let line = body.lines().find_map(|line| line.strip_prefix("DELETE "));
        let target = line.and_then(|line| line.split([' ', '?']).next());
        let path = decode(target.unwrap_or_default());
        let mut objects = lock(&self.objects);
        let count = objects.len();
        objects.retain(|name, _| path.is_empty() || !name.ends_with(&path));
        let status = if objects.len() < count {
            "202 Accepted"
        } else {
            "404 The specified blob does not exist"
        };
        drop(objects);
        let answer = format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status}\r\nx-ms-version: 1\r\n\r\n--b--\r\n"
        );
        let headers = vec!["Content-Type: multipart/mixed; boundary=b".to_owned()];
        send(stream, 202, &headers, answer.as_bytes())
    }

    /// Stores an object, if it is as the request wants it.
    fn put_if(&self, request: &Request) -> (u16, Option<String>, String) {
        let there = lock(&self.objects)
            .get(&request.path)
            .map(|object| object.etag.clone());
        let unless = request.headers.get("if-none-match");
        let only = request.headers.get("if-match");
        let number = request.headers.get("x-goog-if-generation-match");
        let as_wanted = match (unless, only, number.map(String::as_str)) {
            (Some(_), ..) | (None, None, Some("0")) => there.is_none(),
            (None, Some(etag), _) => there.as_ref() == Some(etag),
            (None, None, Some(number)) => there.is_some_and(|etag| generation(&etag) == number),
            (None, None, None) => true,
        };
        if !as_wanted {
            return (
                412,
                None,
                "<Error><Code>PreconditionFailed</Code></Error>".to_owned(),
            );
        }
        let etag = self.put(&request.path, request.body.clone());
        (200, Some(etag), String::new())
    }
}
