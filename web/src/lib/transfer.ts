// Files, up and down, with the token in the header and never in an address.
// The browser keeps what comes on its disk (a blob), not in the page's memory,
// and reads what goes from there.
import { ApiError, refused } from './api';
import { accessToken } from './auth.svelte';

type Progress = (done: number, all: number) => void;

async function send(method: string, path: string, body: Blob | undefined, progress: Progress | undefined, bad?: string): Promise<XMLHttpRequest> {
	const token = await accessToken(bad);
	const x = await new Promise<XMLHttpRequest>((done, fail) => {
		const x = new XMLHttpRequest();
		x.open(method, path);
		x.setRequestHeader('Authorization', 'Bearer ' + token);
		if (body) x.setRequestHeader('Content-Type', 'application/zip');
		x.responseType = 'blob';
		(body ? x.upload : x).onprogress = (e) => progress?.(e.loaded, e.total);
		x.onload = () => done(x);
		x.onerror = () => fail(new ApiError(0, 'away', 'The connection broke off. Is the server running, and the network up?', path));
		x.send(body);
	});
	if (x.status === 401 && bad === undefined) return send(method, path, body, progress, token);
	if (x.status < 400) return x;
	const e = await (x.response as Blob).text().then(JSON.parse).catch(() => ({}));
	throw refused(x.status, e, x.statusText, `${method} ${path.split('?')[0]}`);
}

export async function upload(path: string, file: Blob, progress?: Progress): Promise<any> {
	return JSON.parse(await ((await send('POST', path, file, progress)).response as Blob).text()).data;
}

export async function download(path: string, name: string, progress?: Progress): Promise<void> {
	const url = URL.createObjectURL((await send('GET', path, undefined, progress)).response as Blob);
	const a = Object.assign(document.createElement('a'), { href: url, download: name });
	a.click();
	setTimeout(() => URL.revokeObjectURL(url), 60_000); // once the browser has taken it over
}
