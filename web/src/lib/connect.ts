// What networks and applications are connected with: accounts, topics, and
// lines to be pasted.
import { hexOf } from './payload';
import { mqttServer } from './site.svelte';
import type { CoremgrApplication, CoremgrNetwork } from './schema';

export type EndKind = 'network' | 'application';
export type End = Omit<CoremgrNetwork, 'networkId'> & Partial<Pick<CoremgrNetwork, 'networkId'> & Pick<CoremgrApplication, 'applicationId'>>;
export const idOf = (e: End) => (e.networkId ?? e.applicationId)!;
export const accountOf = (kind: EndKind, e: Pick<End, 'unitCode' | 'code'>) => `${kind}.${e.unitCode ?? '_'}.${e.code}`;

// Easily read aloud: nothing that looks like something else.
export const newPassword = () => Array.from(crypto.getRandomValues(new Uint8Array(20)), (b) => 'abcdefghjkmnpqrstuvwxyz23456789'[b % 31]).join('');

export interface Line { title: string; text: string }

export function linesOf(kind: EndKind, e: End, password: string): Line[] {
	const user = accountOf(kind, e), topic = (q: string) => `broker.${user}.${q}`;
	const way = `${mqttServer().options} -u ${user} -P ${password}`;
	const sub = (...queues: string[]) => `mosquitto_sub ${way} -q 1 -v ${queues.map((q) => '-t ' + topic(q)).join(' ')}`;
	if (kind === 'network') return [
		{ title: 'lineUplink', text: `mosquitto_pub ${way} -q 1 -t ${topic('uldata')} -m '{"time":"${new Date().toISOString()}","networkAddr":"sensor-1","data":"${hexOf('{"temperature":21.5}')}"}'` },
		{ title: 'lineDownlinks', text: sub('dldata', 'ctrl') },
		{ title: 'lineNetworkPython', text: networkPython(user, password) },
	];
	return [
		{ title: 'lineUplinks', text: sub('uldata', 'dldata-resp', 'dldata-result') },
		{ title: 'lineDownlink', text: `mosquitto_pub ${way} -q 1 -t ${topic('dldata')} -m '{"correlationId":"1","networkCode":"NETWORK","networkAddr":"sensor-1","data":"${hexOf('on')}"}'` },
		{ title: 'lineApplicationPython', text: applicationPython(user, password) },
	];
}

const head = (user: string, password: string) => `import json, time
import paho.mqtt.client as mqtt  # pip install "paho-mqtt<2"

USER = "${user}"
client = mqtt.Client()
client.username_pw_set(USER, "${password}")
${mqttServer().tls ? "client.tls_set()\n" : ""}`;

const networkPython = (user: string, password: string) => `${head(user, password)}
def on_connect(client, *_):
    client.subscribe("broker." + USER + ".dldata", qos=1)

def on_message(client, _, message):  # a device is to be sent something
    job = json.loads(message.payload)
    print("to", job["networkAddr"], bytes.fromhex(job["data"]))
    client.publish("broker." + USER + ".dldata-result",
                   json.dumps({"dataId": job["dataId"], "status": 0}), qos=1)

client.on_connect, client.on_message = on_connect, on_message
client.connect("${mqttServer().host}", ${mqttServer().port})
client.loop_start()
while True:  # a device was heard
    client.publish("broker." + USER + ".uldata", json.dumps({
        "time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "networkAddr": "sensor-1",
        "data": json.dumps({"temperature": 21.5}).encode().hex()}), qos=1)
    time.sleep(60)
`;

const applicationPython = (user: string, password: string) => `${head(user, password)}
def on_connect(client, *_):
    for queue in ("uldata", "dldata-resp", "dldata-result"):
        client.subscribe("broker." + USER + "." + queue, qos=1)

def on_message(client, _, message):
    heard = json.loads(message.payload)
    if message.topic.endswith(".uldata"):
        print(heard["networkAddr"], bytes.fromhex(heard["data"]))
        # an answer: client.publish("broker." + USER + ".dldata", json.dumps({
        #     "correlationId": "1", "deviceId": heard["deviceId"],
        #     "data": b"on".hex()}), qos=1)
    else:
        print(message.topic, heard)

client.on_connect, client.on_message = on_connect, on_message
client.connect("${mqttServer().host}", ${mqttServer().port})
client.loop_forever()
`;
