// Phoenix messages. Since version 2.0.0 of the protocol they are arrays [join_ref, ref, topic, event, payload] and broadcasts may be binary; version 1.0.0 has objects.

const USER_BROADCAST_PUSH = 3;
const USER_BROADCAST = 4;
const JSON_ENCODING = 1;

export function decode(data, isBinary) {
  if (isBinary) return decodeBroadcast(data);
  const message = JSON.parse(data.toString());
  return Array.isArray(message) ? message : [message.join_ref ?? null, message.ref ?? null, message.topic, message.event, message.payload];
}

export function encode([joinRef, ref, topic, event, payload], version) {
  if (payload?.payload instanceof Uint8Array) return encodeBroadcast(topic, payload.event, payload.payload);
  if (version.startsWith('1.')) return JSON.stringify({ join_ref: joinRef, ref, topic, event, payload });
  return JSON.stringify([joinRef, ref, topic, event, payload]);
}

/** kind, five lengths, encoding, then join_ref, ref, topic, event, metadata, payload */
function decodeBroadcast(buffer) {
  if (buffer[0] !== USER_BROADCAST_PUSH) throw new Error(`unknown kind of binary message: ${buffer[0]}`);
  const lengths = [...buffer.subarray(1, 6)];
  let offset = 7;
  const [joinRef, ref, topic, event] = lengths.map((length) => buffer.subarray(offset, (offset += length)).toString());
  const body = buffer.subarray(offset);
  const payload = buffer[6] === JSON_ENCODING ? JSON.parse(body.toString()) : new Uint8Array(body);
  return [joinRef || null, ref || null, topic, 'broadcast', { type: 'broadcast', event, payload }];
}

/** kind, lengths of topic, event and metadata, encoding, then these and the payload */
function encodeBroadcast(topic, event, payload) {
  const [topicBytes, eventBytes] = [Buffer.from(topic), Buffer.from(event)];
  return Buffer.concat([Buffer.from([USER_BROADCAST, topicBytes.length, eventBytes.length, 0, 0]), topicBytes, eventBytes, payload]);
}
