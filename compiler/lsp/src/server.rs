//! The protocol: messages in, answers and diagnostics out. One thread; what was typed while an answer was made is read
//! before the next analysis, so that none is made for a text that is past.
use crate::analysis::Analysis;
use crate::complete::{Class, Completion};
use crate::position::Encoding;
use crate::symbols::Kind;
use crate::workspace::Workspace;
use gen_lsp_types as lsp;
use lsp::{Notification as _, Request as _, Uri};
use lsp_server::{Connection, Message, Notification, Request, Response};
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use stmc_base::{Severity, Span};

/// The protocol's number of a request that cannot be fulfilled.
const REFUSED: i32 = -32803;

/// The protocol's number of a request that nobody knows.
const UNKNOWN: i32 = -32601;

/// The protocol's number of a mistake of ours.
const INTERNAL: i32 = -32603;

/// Serves an editor on standard input and output until it says goodbye. Texts of the library are shown in files below
/// `library`.
pub fn serve_stdio(library: PathBuf) -> Result<(), String> {
    let (connection, threads) = Connection::stdio();
    serve(&connection, library)?;
    drop(connection);
    threads.join().map_err(|e| e.to_string())
}

/// Serves an editor on a connection until it says goodbye.
pub fn serve(connection: &Connection, library: PathBuf) -> Result<(), String> {
    let (id, params) = connection.initialize_start().map_err(|e| e.to_string())?;
    let params: lsp::InitializeParams = serde_json::from_value(params).map_err(|e| e.to_string())?;
    let offered = params.capabilities.general.and_then(|g| g.position_encodings).unwrap_or_default();
    let encoding = Encoding::best(&offered);
    let result = serde_json::to_value(greeting(encoding)).expect("the greeting is plain data");
    connection.initialize_finish(id, result).map_err(|e| e.to_string())?;
    let mut server =
        Server { connection, encoding, workspace: Workspace::new(library), published: BTreeMap::new() };
    server.run()
}

fn greeting(encoding: Encoding) -> lsp::InitializeResult {
    let capabilities = lsp::ServerCapabilities {
        position_encoding: Some(encoding.kind()),
        text_document_sync: Some(
            lsp::TextDocumentSyncOptions {
                open_close: Some(true),
                change: Some(lsp::TextDocumentSyncKind::Incremental),
                save: Some(true.into()),
                ..Default::default()
            }
            .into(),
        ),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: Some([".", ":", "(", "[", ","].map(String::from).to_vec()),
            ..Default::default()
        }),
        hover_provider: Some(true.into()),
        definition_provider: Some(true.into()),
        references_provider: Some(true.into()),
        rename_provider: Some(
            lsp::RenameOptions { prepare_provider: Some(true), ..Default::default() }.into(),
        ),
        document_formatting_provider: Some(true.into()),
        code_action_provider: Some(
            lsp::CodeActionOptions {
                code_action_kinds: Some(vec![lsp::CodeActionKind::QuickFix]),
                ..Default::default()
            }
            .into(),
        ),
        ..Default::default()
    };
    let version = Some(env!("CARGO_PKG_VERSION").to_string());
    lsp::InitializeResult {
        capabilities,
        server_info: Some(lsp::ServerInfo { name: "stmc".into(), version }),
    }
}

struct Server<'c> {
    connection: &'c Connection,
    encoding: Encoding,
    workspace: Workspace,
    /// What the editor was told last of each file.
    published: BTreeMap<Uri, Vec<lsp::Diagnostic>>,
}

/// Whether to go on.
enum Next {
    Message,
    Goodbye,
}

impl Server<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Ok(message) = self.connection.receiver.recv() {
            let mut waiting = Some(message);
            while let Some(message) = waiting {
                if let Next::Goodbye = self.message(message)? {
                    return Ok(());
                }
                waiting = self.connection.receiver.try_recv().ok();
            }
            self.publish()?;
        }
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<Next, String> {
        match message {
            Message::Request(request) => {
                if self.connection.handle_shutdown(&request).map_err(|e| e.to_string())? {
                    return Ok(Next::Goodbye);
                }
                let response = self.request(request);
                self.send(Message::Response(response))?;
            }
            Message::Notification(notification) => self.notification(notification),
            Message::Response(_) => {}
        }
        Ok(Next::Message)
    }

    fn send(&self, message: Message) -> Result<(), String> {
        self.connection.sender.send(message).map_err(|e| e.to_string())
    }

    // ------------------------------------------------------------ texts

    fn notification(&mut self, notification: Notification) {
        let method = notification.method.as_str();
        // A message that does not fit its method is the editor's mistake, and nobody waits for an answer.
        if method == lsp::DidOpenTextDocumentNotification::METHOD.as_str() {
            if let Some(p) = read::<lsp::DidOpenTextDocumentParams>(notification.params) {
                let document = p.text_document;
                self.workspace.open(document.uri, document.version, document.text);
            }
        } else if method == lsp::DidChangeTextDocumentNotification::METHOD.as_str() {
            if let Some(p) = read::<lsp::DidChangeTextDocumentParams>(notification.params) {
                self.changed(p);
            }
        } else if method == lsp::DidCloseTextDocumentNotification::METHOD.as_str() {
            if let Some(p) = read::<lsp::DidCloseTextDocumentParams>(notification.params) {
                self.workspace.close(&p.text_document.uri);
            }
        } else if method == lsp::DidSaveTextDocumentNotification::METHOD.as_str()
            || method == lsp::DidChangeWatchedFilesNotification::METHOD.as_str()
        {
            self.workspace.forget_all();
        }
    }

    fn changed(&mut self, p: lsp::DidChangeTextDocumentParams) {
        let encoding = self.encoding;
        let id = p.text_document;
        self.workspace.change(&id.text_document_identifier.uri, id.version, |text| {
            for change in p.content_changes {
                match change {
                    lsp::TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
                        let start = encoding.offset(text, part.range.start);
                        let end = encoding.offset(text, part.range.end).max(start);
                        text.replace_range(start..end, &part.text);
                    }
                    lsp::TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                        *text = whole.text;
                    }
                }
            }
        });
    }

    // ------------------------------------------------------------ diagnostics

    /// Tells the editor what has changed in the messages of all files.
    fn publish(&mut self) -> Result<(), String> {
        if catch_unwind(AssertUnwindSafe(|| self.workspace.refresh())).is_err() {
            // The text of the panic went to standard error; the next keystroke is another chance.
            return Ok(());
        }
        let mut all: BTreeMap<Uri, Vec<lsp::Diagnostic>> = BTreeMap::new();
        for (uri, document) in &self.workspace.documents {
            all.entry(uri.clone()).or_default();
            if self.workspace.is_library(&document.path) {
                continue;
            }
            let Some(analysis) = &document.analysis else { continue };
            for diagnostic in &analysis.diagnostics {
                let Some((place, shown)) = self.diagnostic(analysis, diagnostic) else { continue };
                let known = all.entry(place).or_default();
                if !known.contains(&shown) {
                    known.push(shown);
                }
            }
        }
        let gone: Vec<Uri> = self.published.keys().filter(|u| !all.contains_key(*u)).cloned().collect();
        for uri in gone {
            self.published.remove(&uri);
            self.tell(uri, None, vec![])?;
        }
        for (uri, diagnostics) in all {
            if self.published.get(&uri) != Some(&diagnostics) {
                self.published.insert(uri.clone(), diagnostics.clone());
                let version = self.workspace.documents.get(&uri).map(|d| d.version);
                self.tell(uri, version, diagnostics)?;
            }
        }
        Ok(())
    }

    fn tell(&self, uri: Uri, version: Option<i32>, diagnostics: Vec<lsp::Diagnostic>) -> Result<(), String> {
        let params = lsp::PublishDiagnosticsParams { uri, version, diagnostics };
        let method = lsp::PublishDiagnosticsNotification::METHOD.to_string();
        self.send(Message::Notification(Notification::new(method, params)))
    }

    /// A message and the file that it is about.
    fn diagnostic(&self, analysis: &Analysis, d: &stmc_base::Diagnostic) -> Option<(Uri, lsp::Diagnostic)> {
        let place = self.location(analysis, d.labels[0].span)?;
        let mut message = d.message.clone();
        if !d.labels[0].text.is_empty() {
            message.push_str(&format!(" ({})", d.labels[0].text));
        }
        if let Some(help) = &d.help {
            message.push_str(&format!("\nhelp: {help}"));
        }
        let related = d.labels[1..].iter().filter_map(|label| {
            let message = if label.text.is_empty() { "see here".into() } else { label.text.clone() };
            Some(lsp::DiagnosticRelatedInformation {
                location: self.location(analysis, label.span)?,
                message,
            })
        });
        let related: Vec<_> = related.collect();
        let severity = match d.severity() {
            Severity::Error => lsp::DiagnosticSeverity::Error,
            Severity::Warning => lsp::DiagnosticSeverity::Warning,
        };
        let shown = lsp::Diagnostic {
            range: place.range,
            severity: Some(severity),
            code: Some(d.code.name().to_string().into()),
            source: Some("stmc".into()),
            message: message.into(),
            related_information: (!related.is_empty()).then_some(related),
            ..Default::default()
        };
        Some((place.uri, shown))
    }

    fn location(&self, analysis: &Analysis, span: Span) -> Option<lsp::Location> {
        let path = self.workspace.file(analysis, span.source).ok()?;
        let text = &analysis.sources.source(span.source).text;
        Some(lsp::Location { uri: self.workspace.uri(&path)?, range: self.range(text, span) })
    }

    fn range(&self, text: &str, span: Span) -> lsp::Range {
        self.encoding.range(text, span.start as usize, span.end as usize)
    }

    // ------------------------------------------------------------ requests

    fn request(&mut self, request: Request) -> Response {
        let id = request.id.clone();
        let answer = catch_unwind(AssertUnwindSafe(|| {
            self.workspace.refresh();
            self.answer(request)
        }));
        match answer {
            Ok(response) => response,
            Err(_) => Response::new_err(id, INTERNAL, "this is a bug in stmc; its output tells more".into()),
        }
    }

    fn answer(&self, request: Request) -> Response {
        let asked = |known: lsp::LspRequestMethod<'_>| request.method == known.as_str();
        if asked(lsp::HoverRequest::METHOD) {
            respond::<lsp::HoverRequest>(request, |p| Ok(self.hover(&p.text_document_position_params)))
        } else if asked(lsp::DefinitionRequest::METHOD) {
            respond::<lsp::DefinitionRequest>(request, |p| self.definition(&p.text_document_position_params))
        } else if asked(lsp::ReferencesRequest::METHOD) {
            respond::<lsp::ReferencesRequest>(request, |p| {
                Ok(self.references(&p.text_document_position_params))
            })
        } else if asked(lsp::CompletionRequest::METHOD) {
            respond::<lsp::CompletionRequest>(request, |p| {
                Ok(self.completion(&p.text_document_position_params))
            })
        } else if asked(lsp::PrepareRenameRequest::METHOD) {
            respond::<lsp::PrepareRenameRequest>(request, |p| {
                self.renamable(&p.text_document_position_params)
            })
        } else if asked(lsp::RenameRequest::METHOD) {
            respond::<lsp::RenameRequest>(request, |p| {
                self.rename(&p.text_document_position_params, &p.new_name)
            })
        } else if asked(lsp::DocumentFormattingRequest::METHOD) {
            respond::<lsp::DocumentFormattingRequest>(request, |p| Ok(self.format(&p.text_document.uri)))
        } else if asked(lsp::CodeActionRequest::METHOD) {
            respond::<lsp::CodeActionRequest>(request, |p| Ok(self.actions(&p)))
        } else {
            let message = format!("`{}` is not served", request.method);
            Response::new_err(request.id, UNKNOWN, message)
        }
    }

    /// The analysis of an open file, and a byte of it.
    fn place(&self, p: &lsp::TextDocumentPositionParams) -> Option<(&Analysis, usize)> {
        let (document, analysis) = self.workspace.document(&p.text_document.uri)?;
        Some((analysis, self.encoding.offset(&document.text, p.position)))
    }

    fn hover(&self, p: &lsp::TextDocumentPositionParams) -> Option<lsp::Hover> {
        let (analysis, at) = self.place(p)?;
        let hover = analysis.hover(analysis.main, at)?;
        let contents = lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value: hover.markdown };
        let range = self.range(analysis.text(), hover.span);
        Some(lsp::Hover { contents: contents.into(), range: Some(range) })
    }

    fn definition(
        &self,
        p: &lsp::TextDocumentPositionParams,
    ) -> Result<Option<lsp::DefinitionResponse>, String> {
        let Some((analysis, at)) = self.place(p) else { return Ok(None) };
        let Some(span) = analysis.definition(analysis.main, at) else { return Ok(None) };
        let file = self.workspace.file(analysis, span.source);
        let path = file.map_err(|e| format!("the library's text cannot be shown: {e}"))?;
        let text = &analysis.sources.source(span.source).text;
        let location =
            self.workspace.uri(&path).map(|uri| lsp::Location { uri, range: self.range(text, span) });
        Ok(location.map(|l| lsp::DefinitionResponse::Definition(l.into())))
    }

    fn references(&self, p: &lsp::TextDocumentPositionParams) -> Option<Vec<lsp::Location>> {
        let (analysis, at) = self.place(p)?;
        let found = self.workspace.references(analysis, at).into_iter();
        let location = |(path, text, span): (PathBuf, String, Span)| {
            Some(lsp::Location { uri: self.workspace.uri(&path)?, range: self.range(&text, span) })
        };
        Some(found.filter_map(location).collect())
    }

    fn completion(&self, p: &lsp::TextDocumentPositionParams) -> Option<lsp::CompletionResponse> {
        let (analysis, at) = self.place(p)?;
        let found = self.workspace.completions(analysis, at);
        Some(found.iter().map(|c| self.item(analysis, c)).collect::<Vec<_>>().into())
    }

    fn item(&self, analysis: &Analysis, c: &Completion) -> lsp::CompletionItem {
        let markdown = |doc: &String| {
            let value = doc.clone();
            lsp::Documentation::from(lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value })
        };
        let also = c
            .also
            .as_ref()
            .map(|edit| vec![lsp::TextEdit::new(self.range(analysis.text(), edit.span), edit.text.clone())]);
        lsp::CompletionItem {
            label: c.label.clone(),
            kind: Some(item_kind(c.kind)),
            detail: c.detail.clone(),
            documentation: c.doc.as_ref().map(markdown),
            insert_text: c.insert.clone(),
            sort_text: Some(format!("{}{}", c.rank, c.label)),
            additional_text_edits: also,
            ..Default::default()
        }
    }

    fn renamable(
        &self,
        p: &lsp::TextDocumentPositionParams,
    ) -> Result<Option<lsp::PrepareRenameResult>, String> {
        let Some((analysis, at)) = self.place(p) else { return Ok(None) };
        let span = self.workspace.renamable(analysis, at)?;
        Ok(Some(self.range(analysis.text(), span).into()))
    }

    fn rename(
        &self,
        p: &lsp::TextDocumentPositionParams,
        name: &str,
    ) -> Result<Option<lsp::WorkspaceEdit>, String> {
        let Some((analysis, at)) = self.place(p) else { return Ok(None) };
        let mut changes: HashMap<Uri, Vec<lsp::TextEdit>> = HashMap::new();
        for edit in self.workspace.rename(analysis, at, name)? {
            let uri = self.workspace.uri(&edit.path).ok_or("a file has no name that an editor knows")?;
            let range = self.encoding.range(&edit.text, edit.start, edit.end);
            changes.entry(uri).or_default().push(lsp::TextEdit::new(range, edit.new));
        }
        Ok(Some(lsp::WorkspaceEdit { changes: Some(changes), ..Default::default() }))
    }

    /// `None`: a file with mistakes stays as it is.
    fn format(&self, uri: &Uri) -> Option<Vec<lsp::TextEdit>> {
        let (document, analysis) = self.workspace.document(uri)?;
        let text = document.text.as_str();
        let new = stmc_syntax::format(analysis.main, text).ok()?;
        if new == text {
            return Some(vec![]);
        }
        let (start, end) = differing(text, &new);
        let range = self.encoding.range(text, start, text.len() - end);
        Some(vec![lsp::TextEdit::new(range, new[start..new.len() - end].to_string())])
    }

    fn actions(&self, p: &lsp::CodeActionParams) -> Option<Vec<lsp::CodeActionResponse>> {
        let uri = &p.text_document.uri;
        let (document, analysis) = self.workspace.document(uri)?;
        let byte = |position| self.encoding.offset(&document.text, position);
        let start = byte(p.range.start);
        let place = Span::new(analysis.main, start, byte(p.range.end).max(start));
        let action = |(diagnostic, fix): (&stmc_base::Diagnostic, &stmc_base::Fix)| {
            let mut edits = vec![];
            let mut file = None;
            for edit in &fix.edits {
                let location = self.location(analysis, edit.span)?;
                edits.push(lsp::TextEdit::new(location.range, edit.text.clone()));
                file = Some(location.uri);
            }
            let changes = HashMap::from([(file?, edits)]);
            let action = lsp::CodeAction {
                title: fix.title.clone(),
                kind: Some(lsp::CodeActionKind::QuickFix),
                diagnostics: self.diagnostic(analysis, diagnostic).map(|(_, d)| vec![d]),
                is_preferred: Some(true),
                edit: Some(lsp::WorkspaceEdit { changes: Some(changes), ..Default::default() }),
                ..Default::default()
            };
            Some(action.into())
        };
        Some(analysis.actions(place).filter_map(action).collect())
    }
}

fn read<P: serde::de::DeserializeOwned>(params: serde_json::Value) -> Option<P> {
    serde_json::from_value(params).ok()
}

fn respond<R: lsp::Request>(
    request: Request,
    answer: impl FnOnce(R::Params) -> Result<R::Result, String>,
) -> Response {
    let params = match serde_json::from_value::<R::Params>(request.params) {
        Ok(params) => params,
        Err(e) => return Response::new_err(request.id, REFUSED, e.to_string()),
    };
    match answer(params) {
        Ok(result) => Response::new_ok(request.id, result),
        Err(why) => Response::new_err(request.id, REFUSED, why),
    }
}

/// How many bytes two texts share at their beginning and at their end: whole lines.
fn differing(old: &str, new: &str) -> (usize, usize) {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let length = |lines: &[&str]| lines.iter().map(|l| l.len()).sum();
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    (length(&old[..start]), length(&old_rest[old_rest.len() - end..]))
}

fn item_kind(class: Class) -> lsp::CompletionItemKind {
    use lsp::CompletionItemKind as Item;
    match class {
        Class::Keyword => Item::Keyword,
        Class::Key => Item::Property,
        Class::Argument => Item::Field,
        Class::Axis => Item::EnumMember,
        Class::Member => Item::Property,
        Class::Type => Item::TypeParameter,
        Class::Module | Class::Symbol(Kind::Module(_)) => Item::Module,
        Class::Symbol(Kind::Function | Kind::Schedule | Kind::Optimizer) => Item::Function,
        Class::Symbol(Kind::Layer | Kind::Model | Kind::SubLayer) => Item::Class,
        Class::Symbol(Kind::Hyper | Kind::Setting | Kind::FnSetting) => Item::Constant,
        Class::Symbol(Kind::Axis | Kind::Axes | Kind::AxisSetting) => Item::EnumMember,
        Class::Symbol(Kind::Output | Kind::Part | Kind::Entry | Kind::Metric | Kind::Field) => Item::Field,
        Class::Symbol(_) => Item::Variable,
    }
}

/// Where texts of the library are shown by default: the user's folder for what can be made anew.
pub fn library_folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || {
        std::env::home_dir()
            .map(|h| h.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }))
    };
    let caches = set("XDG_CACHE_HOME").or_else(|| set("LOCALAPPDATA")).or_else(home);
    let version = Path::new("stmc").join(env!("CARGO_PKG_VERSION"));
    caches.unwrap_or_else(std::env::temp_dir).join(version)
}
