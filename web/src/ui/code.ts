// CodeMirror as our editor has it. Its colours are our tokens, so that themes
// need nothing; Escape, then Tab leaves it, as it does by itself.
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { javascript } from '@codemirror/lang-javascript';
import { json } from '@codemirror/lang-json';
import { HighlightStyle, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, StateEffect, StateField } from '@codemirror/state';
import { Decoration, EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers, type DecorationSet } from '@codemirror/view';
import { tags } from '@lezer/highlight';

export interface Code {
	set(text: string): void;
	as(language: 'javascript' | 'json' | 'text', readonly: boolean): void;
	mark(line: number): void; // 0: none
	end(): void;
}

const look = EditorView.theme({
	'&': { backgroundColor: 'transparent', color: 'var(--ink)', fontSize: 'var(--small)', maxHeight: '65vh' },
	'&.cm-focused': { outline: 'none' },
	'.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.6', overflow: 'auto', minHeight: '10rem' },
	'.cm-content': { caretColor: 'var(--ink)', padding: 'var(--s2) 0' },
	'.cm-cursor': { borderLeftColor: 'var(--ink)' },
	'.cm-gutters': { backgroundColor: 'var(--sunk)', color: 'var(--quiet)', borderRight: '1px solid var(--line)' },
	'.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--tint) 45%, transparent)' },
	'.cm-activeLineGutter': { color: 'var(--ink)' },
	'&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--band)' },
	'&.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--tint)', outline: '1px solid var(--edge)' },
	'.cm-fault': { backgroundColor: 'var(--alarm-tint)', boxShadow: 'inset 3px 0 var(--alarm)' },
});
const colours = HighlightStyle.define([
	{ tag: [tags.keyword, tags.bool, tags.null], color: 'var(--series-4)' },
	{ tag: [tags.string, tags.regexp], color: 'var(--leaf)' },
	{ tag: tags.number, color: 'var(--series-2)' },
	{ tag: [tags.comment], color: 'var(--quiet)', fontStyle: 'italic' },
	{ tag: [tags.propertyName, tags.function(tags.variableName)], color: 'var(--series-1)' },
	{ tag: tags.invalid, color: 'var(--alarm)' },
]);

const setFault = StateEffect.define<number>();
const faults = StateField.define<DecorationSet>({
	create: () => Decoration.none,
	update(all, tr) {
		for (const e of tr.effects)
			if (e.is(setFault)) return e.value > 0 && e.value <= tr.state.doc.lines ? Decoration.set([Decoration.line({ class: 'cm-fault' }).range(tr.state.doc.line(e.value).from)]) : Decoration.none;
		return all.map(tr.changes);
	},
	provide: (f) => EditorView.decorations.from(f),
});

export function edit(box: HTMLElement, text: string, how: { label: string; note: string; typed: (text: string) => void }): Code {
	const kind = new Compartment();
	const languages = { javascript: javascript(), json: json(), text: [] };
	const view = new EditorView({
		parent: box,
		doc: text,
		extensions: [
			lineNumbers(), highlightActiveLine(), highlightActiveLineGutter(), drawSelection(), history(), indentOnInput(), bracketMatching(), indentUnit.of('\t'), EditorState.tabSize.of(4), EditorView.lineWrapping,
			syntaxHighlighting(colours), look, faults, kind.of([]),
			keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
			EditorView.contentAttributes.of({ 'aria-label': how.label, 'aria-describedby': how.note, 'aria-multiline': 'true', tabindex: '0', spellcheck: 'false', autocapitalize: 'off' }),
			EditorView.updateListener.of((u) => { if (u.docChanged) how.typed(u.state.doc.toString()); }),
		],
	});
	return {
		set: (next) => { if (next !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }); },
		as: (language, readonly) => view.dispatch({ effects: kind.reconfigure([languages[language], EditorState.readOnly.of(readonly)]) }),
		mark: (line) => {
			view.dispatch({ effects: setFault.of(line) });
			if (line > 0 && line <= view.state.doc.lines) view.dispatch({ effects: EditorView.scrollIntoView(view.state.doc.line(line).from, { y: 'center' }) });
		},
		end: () => view.destroy(),
	};
}
