#!/usr/bin/env bash
# Packs the extension for Visual Studio Code: grammar/editors/vscode/stm.vsix. Needs node and npm.
set -euo pipefail
cd "$(dirname "$0")/vscode"
npm ci --ignore-scripts
cp ../../../LICENSE-MIT LICENSE
trap 'rm -f LICENSE' EXIT
npm run package
echo "install it with: code --install-extension $PWD/stm.vsix"
