// As much of Markdown as a note on a dashboard needs, as data; nothing is HTML.
export interface Span { kind: 'text' | 'b' | 'i' | 'code' | 'a' | 'br'; text?: string; href?: string; of?: Span[] }
export interface Block { kind: 'p' | 'h' | 'ul' | 'ol' | 'pre' | 'hr'; level?: number; spans?: Span[]; items?: Span[][]; text?: string }

const inline = /`([^`]+)`|\*\*(.+?)\*\*|__(.+?)__|\*(.+?)\*|\b_(.+?)_\b|\[([^\]]+)\]\(([^)\s]+)\)|\n/;
export function spans(s: string): Span[] {
	const out: Span[] = [];
	while (s) {
		const m = inline.exec(s);
		if (!m) { out.push({ kind: 'text', text: s }); break; }
		if (m.index) out.push({ kind: 'text', text: s.slice(0, m.index) });
		if (m[1] !== undefined) out.push({ kind: 'code', text: m[1] });
		else if (m[2] ?? m[3]) out.push({ kind: 'b', of: spans((m[2] ?? m[3])!) });
		else if (m[4] ?? m[5]) out.push({ kind: 'i', of: spans((m[4] ?? m[5])!) });
		else if (m[6] !== undefined) out.push(/^(https?:\/\/|mailto:|\/(?!\/))/i.test(m[7]) ? { kind: 'a', text: m[6], href: m[7] } : { kind: 'text', text: m[0] });
		else out.push({ kind: 'br' });
		s = s.slice(m.index + m[0].length);
	}
	return out;
}
export function parse(text: string): Block[] {
	const out: Block[] = [], lines = text.replace(/\r/g, '').split('\n');
	for (let i = 0; i < lines.length; ) {
		const l = lines[i], h = /^(#{1,3})\s+(.*)$/.exec(l);
		const take = (re: RegExp) => { const items: Span[][] = []; for (let m; i < lines.length && (m = re.exec(lines[i])); i++) items.push(spans(m[1])); return items; };
		if (!l.trim()) i++;
		else if (h) { out.push({ kind: 'h', level: h[1].length, spans: spans(h[2]) }); i++; }
		else if (/^(---+|\*\*\*+)\s*$/.test(l)) { out.push({ kind: 'hr' }); i++; }
		else if (l.startsWith('```')) {
			const from = ++i;
			while (i < lines.length && !lines[i].startsWith('```')) i++;
			out.push({ kind: 'pre', text: lines.slice(from, i++).join('\n') });
		} else if (/^\s*[-*+]\s/.test(l)) out.push({ kind: 'ul', items: take(/^\s*[-*+]\s+(.*)$/) });
		else if (/^\s*\d+[.)]\s/.test(l)) out.push({ kind: 'ol', items: take(/^\s*\d+[.)]\s+(.*)$/) });
		else {
			const from = i;
			while (i < lines.length && lines[i].trim() && !/^(#{1,3}\s|```|\s*[-*+]\s|\s*\d+[.)]\s)/.test(lines[i])) i++;
			if (i === from) i++;
			out.push({ kind: 'p', spans: spans(lines.slice(from, i).join('\n')) });
		}
	}
	return out;
}
