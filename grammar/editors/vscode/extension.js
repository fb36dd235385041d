// Starts `stmc lsp` and connects the editor to it.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

async function start() {
    const command = vscode.workspace.getConfiguration("stmc").get("path");
    const server = { command, args: ["lsp"] };
    const options = {
        documentSelector: [{ language: "stm" }],
        synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.stm") },
    };
    client = new LanguageClient("stmc", "stmc", server, options);
    try {
        await client.start();
    } catch (error) {
        const settings = "Open settings";
        const chosen = await vscode.window.showErrorMessage(
            `\`${command} lsp\` cannot be started: ${error.message ?? error}`,
            settings,
        );
        if (chosen === settings) {
            await vscode.commands.executeCommand("workbench.action.openSettings", "stmc.path");
        }
    }
}

async function stop() {
    const running = client;
    client = undefined;
    // A server that did not start need not be stopped.
    if (running?.isRunning()) {
        await running.stop();
    }
}

async function restart() {
    await stop();
    await start();
}

async function activate(context) {
    context.subscriptions.push(
        vscode.commands.registerCommand("stmc.restart", restart),
        vscode.workspace.onDidChangeConfiguration((event) => {
            if (event.affectsConfiguration("stmc.path")) {
                return restart();
            }
        }),
    );
    await start();
}

module.exports = { activate, deactivate: stop };
