// Signing in: OAuth2 code flow with PKCE at our own server. The access token
// is in memory only, and the tabs of one browser give it to each other. The
// refresh token is a cookie that scripts cannot read and that only /refresh
// gets; it is good once, so one tab at a time exchanges it.

import { away, forget, remember, remembered, type Who } from './away.svelte';
import type { Oauth2Tokens } from './schema';

// Whether there is a cookie to exchange: no more than a hint.
const HINT = 'marram.in', FLOW = 'marram.flow', ID = 'public', MARGIN = 30_000;
let token = '', ends = 0, asking: Promise<boolean> | undefined;
export const who = $state<Who>({ account: '', name: '', roles: {}, userId: '' });

type Word = { is: 'ask' } | { is: 'token'; token: string; ends: number } | { is: 'in'; userId: string } | { is: 'out' };
const tabs = new BroadcastChannel('marram');
const tell = (w: Word) => tabs.postMessage(w);
const good = () => token !== '' && Date.now() < ends - MARGIN;
let heard: (() => void) | undefined;
tabs.onmessage = ({ data }: MessageEvent<Word>) => {
	if (data.is === 'ask' && good()) tell({ is: 'token', token, ends });
	if (data.is === 'token' && data.ends > ends) {
		({ token, ends } = data);
		heard?.();
	}
	// Somebody signed out, or in as somebody else: what is shown is not theirs.
	if (data.is === 'out' || (data.is === 'in' && who.userId && data.userId !== who.userId)) {
		token = '';
		location.reload();
	}
};

const here = () => location.origin + '/signed-in';
const base64url = (b: Uint8Array) =>
	btoa(String.fromCharCode(...b)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

// SubtleCrypto is there on HTTPS and on localhost only.
async function challenge(verifier: string): Promise<Record<string, string>> {
	if (!crypto.subtle) return { code_challenge: verifier, code_challenge_method: 'plain' };
	const sum = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
	return { code_challenge: base64url(new Uint8Array(sum)), code_challenge_method: 'S256' };
}

export async function signIn(): Promise<void> {
	const verifier = base64url(crypto.getRandomValues(new Uint8Array(48)));
	const state = base64url(crypto.getRandomValues(new Uint8Array(12)));
	const back = location.pathname === '/signed-in' ? '/' : location.pathname + location.search + location.hash;
	sessionStorage.setItem(FLOW, JSON.stringify({ verifier, state, back }));
	const q = new URLSearchParams({ response_type: 'code', client_id: ID, redirect_uri: here(), state, ...(await challenge(verifier)) });
	location.assign('/auth/oauth2/auth?' + q);
}

async function exchange(path: string, form: Record<string, string>): Promise<boolean> {
	const r = await fetch(path, { method: 'POST', headers: { 'X-Marram': 'app' }, body: new URLSearchParams({ client_id: ID, ...form }) });
	if (r.status === 400) localStorage.removeItem(HINT);
	if (!r.ok) return false;
	const t: Oauth2Tokens = await r.json();
	token = t.access_token;
	ends = Date.now() + t.expires_in * 1000;
	localStorage.setItem(HINT, '1');
	tell({ is: 'token', token, ends });
	return true;
}

// One tab at a time. Without TLS there are no locks; then the server takes the
// same cookie twice for some seconds.
const alone = (f: () => Promise<boolean>) => (navigator.locks ? navigator.locks.request('marram.refresh', f) : f()) as Promise<boolean>;

function refresh(): Promise<boolean> {
	const old = token;
	if (!localStorage.getItem(HINT)) return Promise.resolve(false);
	asking ??= alone(async () => (token !== old && good()) || exchange('/auth/oauth2/refresh', { grant_type: 'refresh_token' }))
		.finally(() => (asking = undefined));
	return asking;
}

// Another tab may have a token; it answers in a few milliseconds or never.
const fromTabs = () => new Promise<boolean>((done) => {
	const late = setTimeout(() => done(false), 40);
	heard = () => { clearTimeout(late); done(good()); };
	tell({ is: 'ask' });
}).finally(() => (heard = undefined));

// One that is good; not `bad`, which the server has refused.
export async function accessToken(bad?: string): Promise<string> {
	if ((!good() || token === bad) && !(await refresh())) await signIn();
	return token;
}

// True: somebody is signed in, and the page can be shown.
export async function start(): Promise<boolean> {
	const q = new URLSearchParams(location.search);
	if (location.pathname === '/signed-in') {
		const flow = JSON.parse(sessionStorage.getItem(FLOW) ?? 'null');
		sessionStorage.removeItem(FLOW);
		const right = flow && flow.state === q.get('state') && q.get('code') &&
			(await exchange('/auth/oauth2/token', { grant_type: 'authorization_code', code: q.get('code')!, redirect_uri: here(), code_verifier: flow.verifier }));
		history.replaceState(null, '', flow?.back ?? '/');
		if (!right) {
			await signIn();
			return false;
		}
	} else {
		let inside = await fromTabs();
		try {
			inside ||= await refresh();
		} catch (e) {
			// The server is away. Who was here may read what it said last.
			if (!remembered()) throw e;
			Object.assign(who, remembered());
			away.since = new Date().toISOString();
			return true;
		}
		if (!inside) {
			await signIn();
			return false;
		}
	}
	const ask = () => fetch('/auth/api/v1/auth/tokeninfo', { headers: { Authorization: 'Bearer ' + token } });
	let r = await ask();
	if (r.status === 401 && (await refresh())) r = await ask(); // another tab was quicker
	Object.assign(who, (await r.json()).data);
	remember(who);
	tell({ is: 'in', userId: who.userId });
	return true;
}

// What is still asked for when somebody signs out has nobody who waits for it.
export const leaving = new AbortController();

// The server has ended the sign-in; so do the other tabs.
export async function signedOut() {
	leaving.abort();
	localStorage.removeItem(HINT);
	await forget().catch(() => {});
	tell({ is: 'out' });
	location.assign('/');
}

export async function signOut(): Promise<void> {
	leaving.abort();
	await fetch('/auth/api/v1/auth/logout', { method: 'POST', headers: { Authorization: 'Bearer ' + token } }).catch(() => {});
	await signedOut();
}
