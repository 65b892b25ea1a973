// Uses the npm package onvif as a client of a simulated camera and prints what it was told as one line of JSON.
// Arguments: HOST PORT PATH USER PASSWORD CONTROL; an empty USER sends no credentials. The package is found in NODE_PATH.
'use strict';
const http = require('http');
const { Cam } = require('onvif');

const [hostname, port, path, username, password, control] = process.argv.slice(2);
const out = {};

// call turns a method with a callback into a promise.
const call = (cam, method, ...args) => new Promise((resolve, reject) => {
	cam[method](...args, (err, value) => err ? reject(new Error(method + ': ' + err.message)) : resolve(value));
});

// post sends JSON to the control port.
const post = (url, body) => new Promise((resolve, reject) => {
	const req = http.request(url, { method: 'POST' }, (res) => { res.resume(); res.on('end', () => resolve(res.statusCode)); });
	req.on('error', reject);
	req.end(JSON.stringify(body));
});

// events resolves with the first n that arrive after the injection.
const events = (cam, n) => new Promise((resolve, reject) => {
	const all = [];
	let injected = false;
	cam.on('eventsError', reject);
	cam.on('event', (e) => {
		const message = e.message.message;
		all.push({ topic: e.topic._, operation: message.$.PropertyOperation, data: message.data.simpleItem });
		if (!injected) {
			injected = true;
			post(control + '/events', { topic: 'tns1:RuleEngine/Injected', source: { Rule: 'r1' }, data: { IsMotion: 'true' } }).catch(reject);
		}
		if (all.filter((x) => x.topic === 'tns1:RuleEngine/Injected').length >= n) {
			cam.removeAllListeners('event');
			resolve(all);
		}
	});
});

async function main() {
	const options = { hostname, port: Number(port), path, timeout: 10000, autoconnect: false };
	if (username) {
		Object.assign(options, { username, password });
	}
	const cam = new Cam(options);
	await call(cam, 'connect');
	out.media2 = cam.media2Support;
	out.services = Object.keys(cam.uri).sort();
	out.profiles = cam.profiles.map((p) => ({
		token: p.$.token, width: p.videoEncoderConfiguration.resolution.width, fps: p.videoEncoderConfiguration.rateControl.frameRateLimit,
	}));
	out.device = await call(cam, 'getDeviceInformation');
	out.scopes = (await call(cam, 'getScopes')).length;
	out.hostname = (await call(cam, 'getHostname')).name;
	out.capabilities = Object.keys(await call(cam, 'getCapabilities')).sort();
	for (const media2 of [true, false]) { // the service of Profile T, then that of Profile S
		cam.media2Support = media2;
		const key = media2 ? 'uris2' : 'uris';
		out[key] = {};
		for (const p of cam.profiles) {
			const s = await call(cam, 'getStreamUri', { protocol: 'RTSP', profileToken: p.$.token });
			const j = await call(cam, 'getSnapshotUri', { profileToken: p.$.token });
			out[key][p.$.token] = [s.uri, j.uri];
		}
		const list = await call(cam, 'getVideoEncoderConfigurations');
		out[media2 ? 'encoders2' : 'encoders'] = [].concat(list).length;
	}
	await call(cam, 'setVideoEncoderConfiguration', {
		token: 'encoder-main', name: 'encoder-main', useCount: 1, encoding: 'H264', quality: 5, sessionTimeout: 'PT60S',
		resolution: { width: 640, height: 360 }, rateControl: { frameRateLimit: 12, encodingInterval: 1, bitrateLimit: 700 },
		H264: { govLength: 24, H264Profile: 'Baseline' },
		multicast: { address: { type: 'IPv4', IPv4Address: '0.0.0.0' }, port: 0, TTL: 0, autoStart: false },
	});
	const now = await call(cam, 'getVideoEncoderConfiguration', 'encoder-main');
	out.configured = [now.resolution.width, now.resolution.height, now.rateControl.frameRateLimit, now.rateControl.bitrateLimit, now.H264.govLength];
	await call(cam, 'continuousMove', { x: 0.5, y: -0.25, zoom: 0, timeout: 1000 });
	await call(cam, 'stop', { panTilt: true, zoom: true });
	await call(cam, 'absoluteMove', { x: 0.1, y: 0.2, zoom: 0.3 });
	await call(cam, 'setPreset', { presetName: 'door' });
	out.presets = Object.keys(await call(cam, 'getPresets', {}));
	out.ptz = (await call(cam, 'getStatus', {})).position;
	out.brightness = (await call(cam, 'getImagingSettings', {})).brightness;
	await call(cam, 'getEventProperties');
	out.events = await events(cam, 1);
}

main().then(() => {
	console.log(JSON.stringify(out));
	process.exit(0); // the client's event loop would go on
}, (err) => {
	console.error(err.stack);
	process.exit(1);
});
