//! An editor that follows a script. It talks to a server in a thread of its own, and its files lie in a folder of their own.
use gen_lsp_types as lsp;
use lsp::{Notification as _, Uri};
use lsp_server::{Connection, Message, Notification, Request, RequestId};
use serde_json::json;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// No answer takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the cursor stands in a text of a script.
const CURSOR: &str = "<|>";

pub struct Client {
    connection: Connection,
    server: Option<JoinHandle<Result<(), String>>>,
    pub folder: TempDir,
    next: i32,
    version: i32,
    /// Messages that came while an answer was waited for.
    told: Vec<lsp::PublishDiagnosticsParams>,
    pub encoding: Option<lsp::PositionEncodingKind>,
}

impl Client {
    /// An editor that counts bytes.
    pub fn new() -> Client {
        Client::counting(&[lsp::PositionEncodingKind::UTF8])
    }

    /// An editor that offers these encodings.
    pub fn counting(encodings: &[lsp::PositionEncodingKind]) -> Client {
        let (ours, theirs) = Connection::memory();
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("library");
        let server = std::thread::spawn(move || stmc_lsp::serve(&theirs, library));
        let (told, encoding) = (vec![], None);
        let mut client =
            Client { connection: ours, server: Some(server), folder, next: 0, version: 0, told, encoding };
        let general = lsp::GeneralClientCapabilities {
            position_encodings: (!encodings.is_empty()).then(|| encodings.to_vec()),
            ..Default::default()
        };
        let capabilities = lsp::ClientCapabilities { general: Some(general), ..Default::default() };
        let params = lsp::InitializeParams { capabilities, ..Default::default() };
        let greeting = client.request::<lsp::InitializeRequest>(params).unwrap();
        client.encoding = greeting.capabilities.position_encoding;
        client.notify::<lsp::InitializedNotification>(lsp::InitializedParams {});
        client
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn uri(&self, name: &str) -> Uri {
        Uri::from_file_path(self.path(name)).unwrap()
    }

    /// Opens a file, which is not on disk. Gives the byte of the cursor, if the text has one.
    pub fn open(&mut self, name: &str, text: &str) -> (Uri, lsp::Position) {
        let at = text.find(CURSOR);
        let text = text.replacen(CURSOR, "", 1);
        let position = position(&text, at.unwrap_or(0));
        let uri = self.uri(name);
        self.version += 1;
        let text_document = lsp::TextDocumentItem {
            uri: uri.clone(),
            language_id: "stm".into(),
            version: self.version,
            text,
        };
        self.notify::<lsp::DidOpenTextDocumentNotification>(lsp::DidOpenTextDocumentParams { text_document });
        (uri, position)
    }

    /// Replaces a place of an open file.
    pub fn edit(&mut self, uri: &Uri, range: lsp::Range, text: &str) {
        self.version += 1;
        let change = json!({ "range": range, "text": text });
        let id = json!({ "uri": uri, "version": self.version });
        let params = json!({ "textDocument": id, "contentChanges": [change] });
        let params = serde_json::from_value(params).unwrap();
        self.notify::<lsp::DidChangeTextDocumentNotification>(params);
    }

    /// The messages on a file: the next that the server tells, if it has told none yet.
    pub fn diagnostics(&mut self, uri: &Uri) -> Vec<lsp::Diagnostic> {
        loop {
            if let Some(i) = self.told.iter().position(|t| t.uri == *uri) {
                return self.told.remove(i).diagnostics;
            }
            let message = self.connection.receiver.recv_timeout(PATIENCE).expect("the server answers");
            self.keep(message);
        }
    }

    pub fn request<R: lsp::Request>(&mut self, params: R::Params) -> Result<R::Result, String> {
        self.next += 1;
        let id = RequestId::from(self.next);
        let request = Request::new(id.clone(), R::METHOD.to_string(), params);
        self.connection.sender.send(Message::Request(request)).unwrap();
        loop {
            match self.connection.receiver.recv_timeout(PATIENCE).expect("the server answers") {
                Message::Response(response) if response.id == id => {
                    return match response.response_result {
                        Ok(result) => Ok(serde_json::from_value(result).unwrap()),
                        Err(error) => Err(error.message),
                    };
                }
                other => self.keep(other),
            }
        }
    }

    pub fn notify<N: lsp::Notification>(&mut self, params: N::Params) {
        let notification = Notification::new(N::METHOD.to_string(), params);
        self.connection.sender.send(Message::Notification(notification)).unwrap();
    }

    fn keep(&mut self, message: Message) {
        if let Message::Notification(n) = message {
            assert_eq!(n.method, lsp::PublishDiagnosticsNotification::METHOD.to_string());
            self.told.push(serde_json::from_value(n.params).unwrap());
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.request::<lsp::ShutdownRequest>(()).unwrap();
        self.notify::<lsp::ExitNotification>(());
        self.server.take().unwrap().join().unwrap().unwrap();
    }
}

/// A place by its byte, columns in bytes.
pub fn position(text: &str, at: usize) -> lsp::Position {
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    lsp::Position::new(before.matches('\n').count() as u32, (at - start) as u32)
}

/// What a request says of a place.
pub fn place<P: serde::de::DeserializeOwned>(uri: &Uri, position: lsp::Position) -> P {
    serde_json::from_value(json!({ "textDocument": { "uri": uri }, "position": position })).unwrap()
}

/// The byte of a place, columns in bytes.
pub fn byte(text: &str, position: lsp::Position) -> usize {
    let start: usize = text.split_inclusive('\n').take(position.line as usize).map(str::len).sum();
    start + position.character as usize
}

/// The text of a place, columns in bytes.
pub fn snippet(text: &str, range: lsp::Range) -> &str {
    &text[byte(text, range.start)..byte(text, range.end)]
}
