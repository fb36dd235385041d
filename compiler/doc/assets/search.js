// The search box. NAMES is a list of [name, kind, module, address, summary].
"use strict";
const box = document.getElementById("search");
const list = document.getElementById("results");
let chosen = 0;

// Smaller is better: the name itself, its beginning, a part of it, a part of what is said of it.
function rank([name, , module, , summary], wanted) {
    const word = name.toLowerCase();
    if (word === wanted) return 0;
    if (word.startsWith(wanted)) return 1;
    if (word.includes(wanted)) return 2;
    if ((module + "." + word).includes(wanted)) return 3;
    return summary.toLowerCase().includes(wanted) ? 4 : Infinity;
}

function show() {
    const wanted = box.value.trim().toLowerCase();
    const found = NAMES.map((name) => [rank(name, wanted), name])
        .filter(([rank]) => wanted && rank < Infinity)
        .sort(([a], [b]) => a - b)
        .slice(0, 20);
    list.replaceChildren(...found.map(([, [name, kind, module, address, summary]]) => {
        const link = document.createElement("a");
        link.href = address;
        const code = document.createElement("code");
        code.textContent = name;
        const small = document.createElement("small");
        small.textContent = summary || module;
        link.append(code, ` ${kind}, ${module}`, small);
        const item = document.createElement("li");
        item.append(link);
        return item;
    }));
    list.hidden = found.length === 0;
    choose(0);
}

function choose(number) {
    const links = list.querySelectorAll("a");
    chosen = Math.max(0, Math.min(number, links.length - 1));
    links.forEach((link, i) => link.classList.toggle("chosen", i === chosen));
    links[chosen]?.scrollIntoView({ block: "nearest" });
}

function close() {
    list.hidden = true;
}

box.addEventListener("input", show);
box.addEventListener("focus", show);
box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter") list.querySelector(".chosen")?.click();
    else if (event.key === "Escape") { close(); box.blur(); }
    else return;
    event.preventDefault();
});
list.addEventListener("click", () => { box.value = ""; close(); });
document.addEventListener("click", (event) => { if (!event.target.closest(".search")) close(); });
document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== box) { event.preventDefault(); box.focus(); }
});
