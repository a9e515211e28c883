// Signing in: OAuth2 code flow with PKCE at our own server. The access token
// is in memory only. The refresh token, which is good once, is kept for this
// tab alone (sessionStorage) so that a reload does not ask for the password.

const KEY = 'marram.refresh', FLOW = 'marram.flow', ID = 'public';
let token = '', ends = 0, asking: Promise<boolean> | undefined;
export const who = $state({ account: '', name: '', roles: {} as Record<string, boolean>, userId: '' });

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
	const r = await fetch(path, { method: 'POST', body: new URLSearchParams({ client_id: ID, ...form }) });
	if (!r.ok) {
		if (r.status < 500) sessionStorage.removeItem(KEY);
		return false;
	}
	const t = await r.json();
	token = t.access_token;
	ends = Date.now() + t.expires_in * 1000;
	sessionStorage.setItem(KEY, t.refresh_token);
	return true;
}

function refresh(): Promise<boolean> {
	const old = sessionStorage.getItem(KEY);
	if (!old) return Promise.resolve(false);
	asking ??= exchange('/auth/oauth2/refresh', { grant_type: 'refresh_token', refresh_token: old })
		.finally(() => (asking = undefined));
	return asking;
}

export async function accessToken(anew = false): Promise<string> {
	if ((anew || Date.now() > ends - 30_000) && !(await refresh())) await signIn();
	return token;
}

// True: somebody is signed in, and the page can be shown.
export async function start(): Promise<boolean> {
	const q = new URLSearchParams(location.search);
	if (location.pathname === '/signed-in') {
		const flow = JSON.parse(sessionStorage.getItem(FLOW) ?? 'null');
		sessionStorage.removeItem(FLOW);
		const good = flow && flow.state === q.get('state') && q.get('code') &&
			(await exchange('/auth/oauth2/token', { grant_type: 'authorization_code', code: q.get('code')!, redirect_uri: here(), code_verifier: flow.verifier }));
		history.replaceState(null, '', flow?.back ?? '/');
		if (!good) {
			await signIn();
			return false;
		}
	} else if (!(await refresh())) {
		await signIn();
		return false;
	}
	const r = await fetch('/auth/api/v1/auth/tokeninfo', { headers: { Authorization: 'Bearer ' + token } });
	Object.assign(who, (await r.json()).data);
	return true;
}

export async function signOut(): Promise<void> {
	await fetch('/auth/api/v1/auth/logout', { method: 'POST', headers: { Authorization: 'Bearer ' + token } }).catch(() => {});
	sessionStorage.removeItem(KEY);
	location.assign('/');
}
