// Looks for devices with the npm package onvif and prints the address of each device service.
'use strict';
const { Discovery } = require('onvif');
Discovery.on('error', () => {});
Discovery.probe({ timeout: 1500, device: 'lo' }, (err, cams) => {
	if (err) {
		console.error(err);
		process.exit(1);
	}
	for (const c of cams) {
		console.log('http://' + c.hostname + ':' + c.port + c.path);
	}
	process.exit(0);
});
