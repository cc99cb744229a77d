// The editor of rules: a textarea becomes a CodeMirror that completes keys, labels and sources, and shows
// what the compiler said, at its line. Without it the page works with the textarea alone.
import { autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, bracketMatching, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

// In the colours of the page, which follow light and dark by themselves.
const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.labelName, tags.typeName], color: "var(--link)" },
  { tag: [tags.string, tags.special(tags.string), tags.attributeValue], color: "var(--ok)" },
  { tag: [tags.keyword, tags.meta, tags.number, tags.bool, tags.null], color: "var(--warn)" },
  { tag: tags.comment, color: "var(--text-2)", fontStyle: "italic" },
  { tag: tags.invalid, color: "var(--danger)" },
]);

const area = document.querySelector("textarea[data-editor]");
if (area) start(area);

function start(textarea) {
  const known = JSON.parse(document.getElementById("editor-words").textContent);
  const tab = new Compartment();
  const complete = (context) => {
    const line = context.state.doc.lineAt(context.pos);
    const before = line.text.slice(0, context.pos - line.from);
    const value = /(?:^|[\s,{-])(\w+):\s*([^,}\]]*)$/.exec(before);
    if (value) {
      const words = known.values[value[1]];
      if (!words) return null;
      return { from: context.pos - value[2].length, options: words.map((label) => ({ label, type: "enum" })) };
    }
    const key = /(?:^\s*-?\s*|[{,]\s*)(\w*)$/.exec(before);
    if (!key || (!key[1] && !context.explicit)) return null;
    return { from: context.pos - key[1].length,
      options: known.keys.map((one) => ({ label: one.name, apply: one.name + ": ", type: "property", info: one.says })) };
  };
  const view = new EditorView({
    state: EditorState.create({
      doc: textarea.value,
      extensions: [
        EditorView.cspNonce.of(document.querySelector("meta[name=editor-nonce]").content),
        lineNumbers(), history(), drawSelection(), highlightActiveLine(), bracketMatching(), closeBrackets(), lintGutter(),
        indentUnit.of("  "), yaml(), syntaxHighlighting(colours),
        autocompletion({ override: [complete] }),
        keymap.of([{ key: "Shift-Enter", run: () => { textarea.form.requestSubmit(); return true; } },
          ...completionKeymap, ...defaultKeymap, ...historyKeymap]),
        tab.of([]),
        EditorView.contentAttributes.of({ "aria-label": "Rules, YAML", "aria-describedby": "editor-faults" }),
        EditorView.theme({
          "&": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--control)", borderRadius: "4px" },
          ".cm-scroller": { fontFamily: "var(--mono)", fontSize: "13px", lineHeight: "20px", minHeight: "18em", maxHeight: "60vh" },
          ".cm-gutters": { backgroundColor: "var(--bg)", color: "var(--text-2)", border: "none" },
          ".cm-content": { caretColor: "var(--text)" },
          ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
          ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)" },
          "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--selected) !important" },
        }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          textarea.value = update.state.doc.toString();
          clearTimeout(timer);
          timer = setTimeout(check, 300);
        }),
      ],
    }),
  });
  let timer = 0;
  textarea.hidden = true;
  textarea.before(view.dom);
  const switchTab = document.querySelector("[data-tab-indents]");
  switchTab?.addEventListener("change", () => {
    view.dispatch({ effects: tab.reconfigure(switchTab.checked ? keymap.of([indentWithTab]) : []) });
  });
  const list = document.getElementById("editor-faults");
  async function check() {
    const body = new URLSearchParams(new FormData(textarea.form));
    const reply = await fetch(textarea.dataset.check, { method: "POST", body }).catch(() => null);
    if (!reply || !reply.ok) return;
    const told = await reply.json();
    const lines = view.state.doc.lines;
    const found = [...told.faults, ...told.warnings].map((one) => {
      const line = view.state.doc.line(Math.max(1, Math.min(lines, one.line || 1)));
      return { from: line.from, to: line.to, severity: one.severity, message: one.detail };
    });
    view.dispatch(setDiagnostics(view.state, found));
    list.textContent = "";
    for (const one of [...told.faults, ...told.warnings]) {
      const item = document.createElement("li");
      item.textContent = "line " + one.line + ": " + one.detail;
      item.className = one.severity === "error" ? "bad-text" : "warn-text";
      list.append(item);
    }
    if (!list.children.length) { const item = document.createElement("li"); item.textContent = told.words; list.append(item); }
  }
  check();
}
