//! What object stores are asked when something is written: PUT with conditions, S3's uploads in parts, DELETE.

use std::collections::BTreeMap;
use std::net::TcpStream;

use super::{Fault, Request, Shared, lock, send};

/// Parts of an upload by their numbers.
pub(super) type Parts = BTreeMap<u32, Vec<u8>>;

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
        let answer = match (request.method.as_str(), get("uploadId")) {
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
                let mut uploads = lock(&self.uploads);
                uploads.get_mut(id).map(|parts| {
                    parts.insert(number, request.body.clone());
                    (200, Some(format!("\"part-{number}\"")), String::new())
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
        headers.extend(etag.map(|etag| format!("ETag: {etag}")));
        send(stream, status, &headers, body.as_bytes())
    }

    /// Stores an object, if it is as the request wants it.
    fn put_if(&self, request: &Request) -> (u16, Option<String>, String) {
        let there = lock(&self.objects)
            .get(&request.path)
            .map(|object| object.etag.clone());
        let unless = request.headers.get("if-none-match");
        let only = request.headers.get("if-match");
        let as_wanted = match (unless, only) {
            (Some(_), _) => there.is_none(),
            (None, Some(etag)) => there.as_ref() == Some(etag),
            (None, None) => true,
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
