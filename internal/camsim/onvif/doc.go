// Package onvif is the ONVIF device side of simulated cameras: what a client finds when it asks one of them who it is,
// which streams it has, to change its encoder, to move, and what has happened in front of it.
//
// A Server has one device per Camera. The device of camera N answers SOAP 1.2 below /camN/onvif/; the first camera also
// below /onvif/, where clients look that were given nothing but an address. Services are told apart by the namespace of
// the operation, so every path takes every operation, as with most real cameras; only a subscription's own operations
// need its address.
//
//	device_service     device management, relay outputs    http://www.onvif.org/ver10/device/wsdl
//	media_service      profiles, encoders, URIs            http://www.onvif.org/ver10/media/wsdl
//	media2_service     the same for Profile T, with H.265  http://www.onvif.org/ver20/media/wsdl
//	event_service      pull points                         http://www.onvif.org/ver10/events/wsdl
//	ptz_service        moves, presets, status              http://www.onvif.org/ver20/ptz/wsdl
//	imaging_service    brightness and the like             http://www.onvif.org/ver20/imaging/wsdl
//	subscription/ID    one pull point
//	snapshot.jpg       a picture of the present scene
//
// The package knows no RTSP: what it describes and changes is a Camera, an interface that package camsim implements.
// A Replay answers with what a real device was recorded to say instead.
//
// Invariants:
//
//   - A request body is read up to 1 MiB and nested at most 32 deep; document types are refused.
//   - With a user set, everything but the operations of access class PRE_AUTH needs a WS-UsernameToken digest whose time
//     lies within Options.Skew of the device's clock and whose nonce is new, or HTTP Digest.
//   - A configuration that was accepted is what the encoder does, and what is read back is the encoder's.
//   - A pull point holds at most 1,000 events; when it is full the oldest is lost and counted.
//   - Everything the PTZ unit was told is in the record, the latest 1,000 commands, at the control port.
//   - A reboot of the camera ends all its subscriptions; while it lasts, connections are cut without an answer.
//
// Server's methods may be called concurrently. Server.mu is a leaf: nothing else is locked and no Camera called while a
// device's lock is held. Time is that of package time, so a Server runs inside a testing/synctest bubble.
//
// Standards: SOAP 1.2; ONVIF Core Specification (device 8, events 9, access classes 5.9), Media, Media 2, PTZ and Imaging
// Service Specifications; WS-BaseNotification 1.3; WS-Security UsernameToken Profile 1.0; WS-Discovery (April 2005);
// HTTP Digest RFC 7616. The operator's page is docs/guide/camsim.md.
package onvif
