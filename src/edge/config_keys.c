/*
 * edge/config_keys.c - every setting of a device, said once.
 *
 * The names and defaults are those that thin-edge.io's users know; spellings of
 * its first years are aliases. What stands under mqtt.broker, marram, and
 * mqtt.bridge.mosquitto_conf is our own.
 */
#include "edge/config.h"

#define OLD(...)                                                               \
	.aliases = (const char *const[])                                       \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}
#define ONE_OF(...)                                                            \
	.choices = (const char *const[])                                       \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}

#define PORT .type = CONFIG_INT, .min = 1, .max = 65535
#define YES_NO .type = CONFIG_BOOL
#define ADDRESS_NOTE "An IP address, or the name of one."

/* The keys of every cloud. */
#define CLOUD_DEVICE(c, ...)                                                   \
	{ c ".device.id", .from = "device.id", .exposed = true,                \
		.doc = "The device's id for this cloud, where it is another "  \
		       "than device.id.",                                      \
		.note = "It is the common name of the certificate, if there "  \
			"is one.",                                             \
		.example = "Raspberrypi-4d18303a-6d3a-11eb" },                 \
	    { c ".device.key_path", CONFIG_PATH, .from = "device.key_path",    \
		    .doc = "The device's private key for this cloud, as PEM.", \
		    .example =                                                 \
			"/etc/tedge/device-certs/tedge-private-key.pem" },     \
	    { c ".device.cert_path", CONFIG_PATH, .from = "device.cert_path",  \
		    .doc = "The device's certificate for this cloud, as PEM.", \
		    .example =                                                 \
			"/etc/tedge/device-certs/tedge-certificate.pem" },     \
	    { c ".device.csr_path", CONFIG_PATH, .from = "device.csr_path",    \
		    .doc = "Where the certificate signing request for this "   \
			   "cloud "                                            \
			   "is written.",                                      \
		    .example = "/etc/tedge/device-certs/tedge.csr" },          \
	    { c ".device.key_uri", .from = "device.key_uri",                   \
		    .doc =                                                     \
			"The private key for this cloud in a PKCS#11 token.",  \
		    .example = "pkcs11:model=PKCS%2315%20emulated" },          \
	    { c ".device.key_pin", .from = "device.key_pin", .secret = true,   \
		    .doc = "The PIN of that token.", .example = "123456" },    \
	{                                                                      \
		c ".root_cert_path", CONFIG_PATH,                              \
		    .def = "/etc/ssl/certs",                                   \
		    OLD(c ".root.cert.path" __VA_OPT__(, ) __VA_ARGS__),       \
		    .doc = "The file or folder of the certificates that this " \
			   "cloud's servers are trusted by.",                  \
		    .note =                                                    \
			"One file with the one certificate that is needed "    \
			"saves memory.",                                       \
		    .example = "/etc/tedge/az-trusted-root-certificates.pem"   \
	}
#define CLOUD_BRIDGE(c)                                                        \
	{ c ".bridge.topic_prefix", .def = c, .exposed = true,                 \
		.doc = "What the local topics of this cloud's bridge begin "   \
		       "with.",                                                \
		.note = "Each profile needs one of its own.",                  \
		.example = c "-second" },                                      \
	{                                                                      \
		c ".bridge.keepalive_interval", CONFIG_DURATION,               \
		    .def = "60s",                                              \
		    .doc = "How long the bridge is silent before it asks the " \
			   "cloud for a sign of life.",                        \
		    .example = "60s"                                           \
	}
#define CLOUD_MAPPER(c, size)                                                  \
	{                                                                      \
		c ".mapper.mqtt.max_payload_size", CONFIG_INT,                 \
		    .def = size, .min = 128, .max = 268435455,                 \
		    .exposed = true,                                           \
		    .doc =                                                     \
			"Bytes of the largest message that is sent to this "   \
			"cloud.",                                              \
		    .example = size                                            \
	}
#define CLOUD_ENABLE(c)                                                        \
	{ c ".enable.log_upload", YES_NO, .def = "true", .exposed = true,      \
		.doc = "May the cloud ask for log files?" },                   \
	    { c ".enable.config_snapshot", YES_NO, .def = "true",              \
		    .exposed = true,                                           \
		    .doc = "May the cloud ask for configuration files?" },     \
	    { c ".enable.config_update", YES_NO, .def = "true",                \
		    .exposed = true,                                           \
		    .doc = "May the cloud change configuration files?" },      \
	    { c ".enable.firmware_update", YES_NO, .def = "true",              \
		    .exposed = true,                                           \
		    .doc = "May the cloud ask for new firmware?" },            \
	    { c ".enable.device_profile", YES_NO, .def = "true",               \
		    .exposed = true,                                           \
		    .doc = "May the cloud apply a device profile?" },          \
	    { c ".enable.device_restart", YES_NO, .def = "true",               \
		    .exposed = true,                                           \
		    .doc = "May the cloud restart the device?" },              \
	{                                                                      \
		c ".enable.software_update", YES_NO,                           \
		    .def = "true", .exposed = true,                            \
		    .doc = "May the cloud install and remove software?"        \
	}

#define TOPICS_BASE                                                            \
	"te/+/+/+/+/m/+,te/+/+/+/+/e/+,te/+/+/+/+/a/+,"                        \
	"te/+/+/+/+/status/health"
#define TOPICS_FULL                                                            \
	"te/+/+/+/+,te/+/+/+/+/twin/+,te/+/+/+/+/m/+,te/+/+/+/+/m/+/meta,"     \
	"te/+/+/+/+/e/+,te/+/+/+/+/a/+,te/+/+/+/+/status/health"
#define CLOUD_TOPICS(c, list)                                                  \
	{                                                                      \
		c ".topics", CONFIG_LIST,                                      \
		    .def = list, .exposed = true,                              \
		    .doc = "The topics that are heard for this cloud.",        \
		    .example = TOPICS_BASE                                     \
	}

/* Their settings are kept for what is to come. */
#define NO_FLOWS "(Kept, but without effect: there are no flows yet.)"

const struct config_key config_keys[] = {
	{ "device.id", .exposed = true, .doc = "The name of the device.",
	    .note = "With a certificate it is its common name, and can not be "
		    "set; without one it can.",
	    .example = "Raspberrypi-4d18303a-6d3a-11eb" },
	{ "device.type", .def = "thin-edge.io", .exposed = true,
	    .doc = "What kind of device it is.", .example = "thin-edge.io" },
	{ "device.key_path", CONFIG_PATH,
	    .def = "${config_dir}/device-certs/tedge-private-key.pem",
	    OLD("device.key.path"), .doc = "The device's private key, as PEM.",
	    .example = "/etc/tedge/device-certs/tedge-private-key.pem" },
	{ "device.cert_path", CONFIG_PATH,
	    .def = "${config_dir}/device-certs/tedge-certificate.pem",
	    OLD("device.cert.path"), .doc = "The device's certificate, as PEM.",
	    .example = "/etc/tedge/device-certs/tedge-certificate.pem" },
	{ "device.csr_path", CONFIG_PATH,
	    .def = "${config_dir}/device-certs/tedge.csr",
	    OLD("device.csr.path"),
	    .doc = "Where a certificate signing request is written.",
	    .example = "/etc/tedge/device-certs/tedge.csr" },
	{ "device.key_uri", .doc = "The private key in a PKCS#11 token.",
	    .example = "pkcs11:model=PKCS%2315%20emulated" },
	{ "device.key_pin", .secret = true, .doc = "The PIN of that token.",
	    .example = "123456" },
	{ "device.cryptoki.mode", CONFIG_ENUM, .def = "off",
	    ONE_OF("off", "module", "socket"),
	    .doc = "Is the private key in a PKCS#11 token, and how is it "
		   "reached?" },
	{ "device.cryptoki.module_path", CONFIG_PATH,
	    .doc = "The PKCS#11 library.",
	    .example = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so" },
	{ "device.cryptoki.pin", .def = "123456", .secret = true,
	    .doc = "The PIN that opens the token." },
	{ "device.cryptoki.uri",
	    .doc = "Which token and key, where there are several.",
	    .example = "pkcs11:token=my-token;object=my-key" },
	{ "device.cryptoki.socket_path", CONFIG_PATH,
	    .def = "/run/tedge-p11-server/tedge-p11-server.sock",
	    .doc = "The socket of the program that holds the token." },

	{ "certificate.validity.requested_duration", CONFIG_DURATION,
	    .def = "365d",
	    .doc = "For how long a new certificate is valid, or asked for.",
	    .example = "365d" },
	{ "certificate.validity.minimum_duration", CONFIG_DURATION,
	    .def = "30d",
	    .doc = "A certificate that is valid for less than this is due to "
		   "be renewed.",
	    .example = "30d" },
	{ "certificate.organization", .def = "Thin Edge",
	    .doc = "The organization (O) in a new certificate.",
	    .example = "ACME" },
	{ "certificate.organization_unit", .def = "Device",
	    .doc = "The organizational unit (OU) in a new certificate.",
	    .example = "IoT" },

	/* --- Cumulocity -------------------------------------------------- */
	{ "c8y.url", CONFIG_HOST, .exposed = true,
	    .doc = "The host of the Cumulocity tenant.",
	    .example = "your-tenant.cumulocity.com" },
	{ "c8y.http", CONFIG_HOST, .from = "c8y.url", .exposed = true,
	    .doc = "Where its HTTP is, if not at c8y.url.",
	    .note = "The port is 443 where none is said.",
	    .example = "http.your-tenant.cumulocity.com:1234" },
	{ "c8y.mqtt", CONFIG_HOST, .from = "c8y.url", .exposed = true,
	    .doc = "Where its MQTT is, if not at c8y.url.",
	    .note = "The port is 8883 where none is said.",
	    .example = "mqtt.your-tenant.cumulocity.com:1234" },
	{ "c8y.auth_method", CONFIG_ENUM, .def = "certificate",
	    ONE_OF("certificate", "basic", "auto"), .exposed = true,
	    .doc = "How the device signs in.",
	    .note = "auto: with user and password if the credentials file is "
		    "there, else with the certificate." },
	{ "c8y.credentials_path", CONFIG_PATH,
	    .def = "${config_dir}/credentials.toml",
	    .doc = "The file with user name and password.",
	    .example = "/etc/tedge/credentials.toml" },
	CLOUD_DEVICE("c8y"),
	{ "c8y.smartrest.templates", CONFIG_LIST, .def = "", .exposed = true,
	    .doc = "The SmartREST 2 templates that the device uses.",
	    .example = "templateId1,templateId2" },
	{ "c8y.smartrest.use_operation_id", YES_NO, .def = "true",
	    .doc = "Are operations answered by their ids (504 to 506), or by "
		   "their names (501 to 503)?" },
	{ "c8y.smartrest.child_device.create_with_device_marker", YES_NO,
	    .def = "false",
	    .doc = "Are child devices registered as devices of their own?" },
	{ "c8y.smartrest1.templates", CONFIG_LIST, .def = "", .exposed = true,
	    .doc = "The SmartREST 1 templates that the device uses.",
	    .example = "legacyId1,legacyId2" },
	CLOUD_TOPICS("c8y", TOPICS_FULL),
	CLOUD_MAPPER("c8y", "16184"),
	CLOUD_ENABLE("c8y"),
	{ "c8y.proxy.bind.address", .def = "127.0.0.1",
	    .doc = "The address that the proxy to Cumulocity's HTTP listens "
		   "on.",
	    .note = ADDRESS_NOTE, .example = "192.168.1.2" },
	{ "c8y.proxy.bind.port", PORT, .def = "8001", .doc = "Its port.",
	    .note = "Each profile needs one of its own." },
	{ "c8y.proxy.client.host", .def = "127.0.0.1", .exposed = true,
	    .doc = "Where others of the device reach that proxy.",
	    .example = "tedge-hostname" },
	{ "c8y.proxy.client.port", PORT, .from = "c8y.proxy.bind.port",
	    .exposed = true, .doc = "Its port for them.", .example = "8001" },
	{ "c8y.proxy.cert_path", CONFIG_PATH,
	    .doc = "The certificate of the proxy; with it it speaks HTTPS.",
	    .example = "/etc/tedge/device-certs/c8y_proxy_certificate.pem" },
	{ "c8y.proxy.key_path", CONFIG_PATH,
	    .doc = "The private key of that certificate.",
	    .example = "/etc/tedge/device-certs/c8y_proxy_private_key.pem" },
	{ "c8y.proxy.ca_path", CONFIG_PATH,
	    .doc = "Who signs its clients' certificates; with it they must "
		   "show one.",
	    .example = "/etc/ssl/certs" },
	{ "c8y.proxy.max_connections", CONFIG_INT, .def = "32", .min = 1,
	    .max = 10000, .doc = "Requests that the proxy holds at a time.",
	    .note = "What comes beyond them is answered with 503.",
	    .example = "32" },
	{ "c8y.bridge.include.local_cleansession", CONFIG_ENUM, .def = "auto",
	    ONE_OF("auto", "true", "false"),
	    .doc = "Does Mosquitto's bridge file say local_cleansession?",
	    .note = "auto: from Mosquitto 2.0 on, which knows it." },
	CLOUD_BRIDGE("c8y"),
	{ "c8y.entity_store.auto_register", YES_NO, .def = "true",
	    .doc =
		"Is a device or service registered when it is first heard?" },
	{ "c8y.entity_store.clean_start", YES_NO, .def = "true",
	    .doc = "Are all registrations sent again at the start?" },
	{ "c8y.software_management.api", CONFIG_ENUM, .def = "legacy",
	    ONE_OF("legacy", "advanced"),
	    .doc = "How the list of software is sent.",
	    .note =
		"legacy: as a fragment of the device, by HTTP. advanced: by "
		"the software service, in messages 140 and 141." },
	{ "c8y.software_management.with_types", YES_NO, .def = "false",
	    .doc = "Is the list of the types of software told?" },
	{ "c8y.operations.auto_log_upload", CONFIG_ENUM, .def = "on-failure",
	    ONE_OF("always", "never", "on-failure"),
	    .doc = "When is the log of an operation sent?" },
	{ "c8y.availability.enable", YES_NO, .def = "true",
	    .doc = "Does the cloud watch whether the device is there?" },
	{ "c8y.availability.interval", CONFIG_DURATION, .def = "60m",
	    .doc = "After which silence it is not.",
	    .note = "Below a minute: the device is under maintenance.",
	    .example = "60m" },
	{ "c8y.mqtt_service.enabled", YES_NO, .def = "false", .exposed = true,
	    .doc = "Is Cumulocity's MQTT service connected, too?" },
	{ "c8y.mqtt_service.topics", CONFIG_LIST, .def = "", .exposed = true,
	    .doc = "The topics of the MQTT service to hear.",
	    .example = "incoming/topic,another/topic" },

	/* --- Azure IoT Hub ----------------------------------------------- */
	{ "az.url", CONFIG_HOST, .exposed = true, OLD("azure.url"),
	    .doc = "The host of the Azure IoT Hub.",
	    .example = "myazure.azure-devices.net" },
	CLOUD_DEVICE("az", "azure.root.cert.path", "azure.root_cert_path"),
	{ "az.mapper.timestamp", YES_NO, .def = "true",
	    OLD("azure.mapper.timestamp"),
	    .doc = "Is the time added to messages that lack it?" },
	{ "az.mapper.timestamp_format", CONFIG_ENUM, .def = "unix",
	    ONE_OF("unix", "rfc-3339"),
	    .doc = "How time is written to Azure." },
	CLOUD_TOPICS("az", TOPICS_BASE),
	CLOUD_MAPPER("az", "262144"),
	CLOUD_BRIDGE("az"),

	/* --- AWS IoT ----------------------------------------------------- */
	{ "aws.url", CONFIG_HOST, .exposed = true,
	    .doc = "The host of the AWS IoT endpoint.",
	    .example = "your-endpoint.amazonaws.com" },
	CLOUD_DEVICE("aws"),
	{ "aws.mapper.timestamp", YES_NO, .def = "true",
	    .doc = "Is the time added to messages that lack it?" },
	{ "aws.mapper.timestamp_format", CONFIG_ENUM, .def = "unix",
	    ONE_OF("unix", "rfc-3339"), .doc = "How time is written to AWS." },
	CLOUD_TOPICS("aws", TOPICS_BASE),
	CLOUD_MAPPER("aws", "131072"),
	CLOUD_BRIDGE("aws"),

	/* --- Marram ------------------------------------------------------ */
	{ "marram.url", .exposed = true,
	    .doc = "The host of the Marram platform.",
	    .note = "With mqtt:// before it nothing is encrypted.",
	    .example = "marram.example.org" },
	{ "marram.unit", .exposed = true,
	    .doc = "The code of the unit that the device belongs to.",
	    .example = "demo" },
	{ "marram.gateway", .exposed = true,
	    .doc = "The code of the gateway that the device signs in to.",
	    .example = "edge" },
	{ "marram.http", CONFIG_HOST, .from = "marram.url", .exposed = true,
	    .doc = "Where its HTTP is, if not at marram.url.",
	    .note = "The port is 443 where none is said.",
	    .example = "marram.example.org:1443" },
	{ "marram.mqtt", .from = "marram.url", .exposed = true,
	    .doc = "Where its MQTT is, if not at marram.url.",
	    .note = "The port is 8883 where none is said.",
	    .example = "marram.example.org:8883" },
	{ "marram.auth_method", CONFIG_ENUM, .def = "auto",
	    ONE_OF("certificate", "basic", "auto"), .exposed = true,
	    .doc = "How the device signs in.",
	    .note = "auto: with user and password if the credentials file is "
		    "there, else with the certificate." },
	{ "marram.credentials_path", CONFIG_PATH,
	    .def = "${config_dir}/credentials.toml",
	    .doc = "The file with user name and password, under [marram].",
	    .example = "/etc/tedge/credentials.toml" },
	CLOUD_DEVICE("marram"),
	{ "marram.mapper.timestamp", YES_NO, .def = "true",
	    .doc = "Is the time added to messages that lack it?" },
	CLOUD_TOPICS("marram", TOPICS_FULL),
	CLOUD_MAPPER("marram", "60000"),
	CLOUD_ENABLE("marram"),
	CLOUD_BRIDGE("marram"),

	/* --- the local bus ----------------------------------------------- */
	{ "mqtt.topic_root", .def = "te", .exposed = true,
	    .doc = "What the topics of the device begin with.",
	    .example = "te" },
	{ "mqtt.device_topic_id", .def = "device/main//",
	    .doc = "The topic id of this device.", .example = "device/main//" },
	{ "mqtt.bind.enabled", YES_NO, .def = "true",
	    .doc = "Is there a broker on this device that is ours to set up?",
	    .note = "false where mqtt.client.host is another machine." },
	{ "mqtt.bind.address", .def = "127.0.0.1", OLD("mqtt.bind_address"),
	    .doc = "The address that the broker listens on.",
	    .note = ADDRESS_NOTE, .example = "127.0.0.1" },
	{ "mqtt.bind.port", PORT, .def = "1883", OLD("mqtt.port"),
	    .doc = "Its port.", .example = "1883" },
	{ "mqtt.client.host", .def = "127.0.0.1", .exposed = true,
	    .doc = "Where the device's programs reach the broker.",
	    .example = "127.0.0.1" },
	{ "mqtt.client.port", PORT, .from = "mqtt.bind.port", .exposed = true,
	    .doc = "Its port for them.", .example = "1883" },
	{ "mqtt.client.auth.ca_file", CONFIG_PATH,
	    OLD("mqtt.client.auth.cafile"),
	    .doc = "Whose certificates the broker is trusted by; with it TLS "
		   "is spoken to the broker.",
	    .example = "/etc/mosquitto/ca_certificates/ca.crt" },
	{ "mqtt.client.auth.ca_dir", CONFIG_PATH, OLD("mqtt.client.auth.cadir"),
	    .doc = "A folder of such certificates.",
	    .example = "/etc/mosquitto/ca_certificates" },
	{ "mqtt.client.auth.cert_file", CONFIG_PATH,
	    OLD("mqtt.client.auth.certfile"),
	    .doc = "The certificate shown to the broker.",
	    .note = "Needs mqtt.client.auth.key_file, too.",
	    .example = "/etc/mosquitto/auth_certificates/cert.pem" },
	{ "mqtt.client.auth.key_file", CONFIG_PATH,
	    OLD("mqtt.client.auth.keyfile"),
	    .doc = "The private key of that certificate.",
	    .example = "/etc/mosquitto/auth_certificates/key.pem" },
	{ "mqtt.client.auth.username", .doc = "The user name for the broker.",
	    .example = "tedge" },
	{ "mqtt.client.auth.password_file", CONFIG_PATH,
	    .doc = "The file whose first line is the password of that user.",
	    .example = "/etc/tedge/.mqtt_password" },
	{ "mqtt.external.bind.port", PORT, OLD("mqtt.external.port"),
	    .doc = "A second port, for clients from outside.",
	    .example = "8883" },
	{ "mqtt.external.bind.address", OLD("mqtt.external.bind_address"),
	    .doc = "The address of that port.", .note = ADDRESS_NOTE,
	    .example = "0.0.0.0" },
	{ "mqtt.external.bind.interface", OLD("mqtt.external.bind_interface"),
	    .doc = "The network interface of that port.", .example = "wlan0" },
	{ "mqtt.external.ca_path", CONFIG_PATH, OLD("mqtt.external.capath"),
	    .doc = "Who signs the certificates of clients from outside; with "
		   "it they must show one.",
	    .note = "Is a folder, or a file of PEM certificates.",
	    .example = "/etc/ssl/certs" },
	{ "mqtt.external.cert_file", CONFIG_PATH, OLD("mqtt.external.certfile"),
	    .doc = "The certificate of the second port; with it it speaks TLS.",
	    .note = "Needs mqtt.external.key_file, too.",
	    .example = "/etc/tedge/server-certs/tedge-certificate.pem" },
	{ "mqtt.external.key_file", CONFIG_PATH, OLD("mqtt.external.keyfile"),
	    .doc = "The private key of that certificate.",
	    .example = "/etc/tedge/server-certs/tedge-private-key.pem" },
	{ "mqtt.bridge.built_in", YES_NO, .def = "true",
	    .doc = "Does marram-edge carry messages to the clouds itself, or "
		   "is Mosquitto told to?" },
	{ "mqtt.bridge.mosquitto_conf", CONFIG_PATH,
	    .def = "/etc/mosquitto/mosquitto.conf",
	    .doc = "Mosquitto's own file, which is to include ours." },
	{ "mqtt.bridge.reconnect_policy.initial_interval", CONFIG_DURATION,
	    .def = "5s",
	    .doc = "How long a bridge waits before it connects again; each "
		   "time twice as long.",
	    .example = "5s" },
	{ "mqtt.bridge.reconnect_policy.maximum_interval", CONFIG_DURATION,
	    .def = "10m", .doc = "The longest such wait.", .example = "10m" },
	{ "mqtt.bridge.reconnect_policy.reset_window", CONFIG_DURATION,
	    .def = "5m",
	    .doc = "How long it must have been connected for the wait to be "
		   "short again.",
	    .example = "5m" },
	{ "mqtt.broker.built_in", YES_NO, .def = "true",
	    .doc = "Is the broker that of marram-edge, or a Mosquitto beside "
		   "it?",
	    .note = "Only where mqtt.bind.enabled is true and "
		    "mqtt.client.host is this device." },
	{ "mqtt.broker.max_connections", CONFIG_INT, .def = "128", .min = 1,
	    .max = 65535, .doc = "Clients that may be connected at a time." },
	{ "mqtt.broker.max_packet_size", CONFIG_INT, .def = "1048576",
	    .min = 1024, .max = 268435455,
	    .doc = "Bytes of the largest message the broker takes." },
	{ "mqtt.broker.max_queued_messages", CONFIG_INT, .def = "250000",
	    .min = 1, .max = 100000000,
	    .doc = "Messages that wait on disk for one client that is away, "
		   "the bridge to a cloud included.",
	    .note = "When it is full the oldest go." },
	{ "mqtt.broker.max_queued_bytes", CONFIG_INT, .def = "67108864",
	    .min = 65536, .max = 1099511627776, .doc = "The same in bytes." },
	{ "mqtt.broker.max_sessions", CONFIG_INT, .def = "256", .min = 1,
	    .max = 65535,
	    .doc = "Clients that are away and for whom messages are kept." },
	{ "mqtt.broker.session_expiry", CONFIG_DURATION, .def = "30d",
	    .doc = "For how long.", .example = "30d" },
	{ "mqtt.broker.max_retained", CONFIG_INT, .def = "10000", .min = 1,
	    .max = 10000000, .doc = "Retained messages." },
	{ "mqtt.broker.max_retained_bytes", CONFIG_INT, .def = "4194304",
	    .min = 65536, .max = 1099511627776,
	    .doc = "The same in bytes; they are kept in memory." },

	/* --- HTTP -------------------------------------------------------- */
	{ "http.bind.address",
	    .from = "mqtt.external.bind.address,mqtt.bind.address",
	    .def = "127.0.0.1", OLD("http.address"),
	    .doc = "The address that the agent's HTTP server listens on.",
	    .note = "As mqtt.external.bind.address, else mqtt.bind.address, "
		    "where it is not set.",
	    .example = "192.168.1.2" },
	{ "http.bind.port", PORT, .def = "8000", OLD("http.port"),
	    .doc = "Its port.", .example = "8000" },
	{ "http.max_connections", CONFIG_INT, .def = "64", .min = 1,
	    .max = 10000, .doc = "Connections that it holds at a time.",
	    .example = "64" },
	{ "http.max_file_size", CONFIG_INT, .def = "1073741824", .min = 1,
	    .max = INT64_C(1) << 40,
	    .doc = "Bytes of one file that is uploaded to it; more is refused "
		   "with 413.",
	    .example = "1073741824" },
	{ "http.client.host", .def = "127.0.0.1", .exposed = true,
	    .doc = "Where others of the device reach that server.",
	    .example = "tedge-hostname" },
	{ "http.client.port", PORT, .def = "8000", .exposed = true,
	    .doc = "Its port for them.", .example = "8000" },
	{ "http.client.auth.cert_file", CONFIG_PATH,
	    .doc = "The certificate shown to that server.",
	    .note = "Needs http.client.auth.key_file, too.",
	    .example = "/etc/tedge/device-certs/client.pem" },
	{ "http.client.auth.key_file", CONFIG_PATH,
	    .doc = "The private key of that certificate.",
	    .example = "/etc/tedge/device-certs/client-key.pem" },
	{ "http.cert_path", CONFIG_PATH,
	    .doc = "The certificate of the server; with it it speaks HTTPS.",
	    .example =
		"/etc/tedge/device-certs/file_transfer_certificate.pem" },
	{ "http.key_path", CONFIG_PATH,
	    .doc = "The private key of that certificate.",
	    .example =
		"/etc/tedge/device-certs/file_transfer_private_key.pem" },
	{ "http.ca_path", CONFIG_PATH,
	    .doc = "Who signs its clients' certificates; with it they must "
		   "show one.",
	    .example = "/etc/ssl/certs" },

	/* --- the agent --------------------------------------------------- */
	{ "agent.state.path", CONFIG_PATH, .def = "/data/tedge/agent",
	    .doc = "The folder where the agent keeps what it must remember "
		   "over a restart.",
	    .note = "Where it does not exist, .agent in the folder of the "
		    "settings." },
	{ "agent.enable.config_update", YES_NO, .def = "true", .exposed = true,
	    .doc = "Does the agent change configuration files?" },
	{ "agent.enable.config_snapshot", YES_NO, .def = "true",
	    .exposed = true,
	    .doc = "Does the agent give configuration files out?" },
	{ "agent.enable.log_upload", YES_NO, .def = "true", .exposed = true,
	    .doc = "Does the agent give log files out?" },
	{ "agent.entity_store.auto_register", YES_NO, .def = "true",
	    .exposed = true,
	    .doc =
		"Is a device or service registered when it is first heard?" },
	{ "agent.entity_store.max_size", CONFIG_INT, .def = "4194304",
	    .min = 65536, .max = 1 << 30,
	    .doc = "Bytes of memory for all devices and services that are "
		   "registered, with their twin data; more are refused.",
	    .example = "4194304" },
	{ "agent.entity_store.clean_start", YES_NO, .def = "false",
	    .exposed = true,
	    .doc = "Does the agent forget all that is registered when it "
		   "starts?" },
	{ "software.plugin.default",
	    .doc = "The type of software that has none.", .example = "apt" },
	{ "software.plugin.max_packages", CONFIG_INT, .def = "1000", .min = 0,
	    .max = 1000000,
	    .doc = "Packages told of each type of software; 0: all." },
	{ "software.plugin.include",
	    .doc = "Only packages whose names match this regular expression "
		   "are told.",
	    .example = "^(tedge|c8y).*" },
	{ "software.plugin.exclude",
	    .doc = "Those whose names match this one are not, unless included.",
	    .example = "^(glibc|lib|kernel-|iptables-module).*" },

	{ "software.plugin.timeout", CONFIG_DURATION, .def = "5m",
	    .doc = "How long a plugin may take for one call.",
	    .note = "Then it is ended, and the call has failed.",
	    .example = "30m" },

	/* --- places, logs ------------------------------------------------ */
	{ "run.path", CONFIG_PATH, .def = "/run",
	    .doc = "The folder of locks and sockets.", .example = "/run" },
	{ "run.lock_files", YES_NO, .def = "true",
	    .doc = "Does a lock keep a service from running twice?" },
	{ "run.log_memory_interval", CONFIG_DURATION, .def = "0",
	    .doc = "How often the memory in use is logged; 0: never.",
	    .example = "60s" },
	{ "logs.path", CONFIG_PATH, .def = "/var/log/tedge",
	    .doc = "The folder of the logs of operations.",
	    .example = "/var/log/tedge" },
	{ "logs.max_per_operation", CONFIG_LIST, .def = "*:5,software_list:1",
	    .doc = "How many logs are kept of each kind of operation.",
	    .example = "*:5,software_list:1" },
	{ "tmp.path", CONFIG_PATH, .def = "/tmp",
	    .doc = "The folder of what is needed for a moment.",
	    .example = "/tmp" },
	{ "data.path", CONFIG_PATH, .def = "/var/tedge",
	    .doc = "The folder of messages that wait, and of files that are "
		   "transferred.",
	    .example = "/var/tedge" },
	{ "firmware.child.update.timeout", CONFIG_DURATION, .def = "1h",
	    .doc = "How long a child device may take for a new firmware. Kept, "
		   "but without effect: nothing here asks for one yet.",
	    .example = "3600" },
	{ "service.type", .def = "service",
	    .doc = "The type of the device's services.", .example = "systemd" },
	{ "service.timestamp_format", CONFIG_ENUM, .def = "unix",
	    ONE_OF("unix", "rfc-3339"),
	    .doc = "How time is written in the health of services." },
	{ "apt.name",
	    .doc = "Only packages whose names match this regular expression "
		   "are told by the apt plugin.",
	    .example = "tedge.*" },
	{ "apt.maintainer",
	    .doc = "Only packages whose maintainers match this one are told.",
	    .example = "thin-edge.io team.*" },
	{ "apt.dpkg.options.config", CONFIG_ENUM, .def = "keepold",
	    ONE_OF("keepold", "keepnew"),
	    .doc = "Which of two configuration files of a package stays: the "
		   "one that is there, or its new one?" },
	{ "sudo.enable", YES_NO, .def = "true",
	    .doc = "Are plugins run by sudo?" },
	{ "proxy.address",
	    .doc = "The HTTP proxy to the clouds, and to the platform of the "
		   "fleet.",
	    .example = "http://127.0.0.1:8888" },
	{ "proxy.username", .doc = "The user name for that proxy.",
	    .example = "frank" },
	{ "proxy.password", .secret = true, .doc = "The password of that user.",
	    .example = "1234" },
	{ "proxy.no_proxy",
	    .doc = "Hosts that are reached without it, divided by commas.",
	    .example = "127.0.0.1,192.168.0.0/16,example.org" },
	{ "diag.plugin_paths", CONFIG_LIST,
	    .def = "/usr/share/tedge/diag-plugins",
	    .doc = "The folders of the plugins of tedge diag collect.",
	    .example = "/usr/share/tedge/diag-plugins" },
	{ "log.plugin_paths", CONFIG_LIST,
	    .def = "/usr/share/tedge/log-plugins",
	    .doc = "The folders of the plugins that find logs.",
	    .example = "/usr/local/share/tedge/log-plugins" },
	{ "configuration.plugin_paths", CONFIG_LIST,
	    .def = "/usr/share/tedge/config-plugins",
	    .doc = "The folders of the plugins that handle configuration.",
	    .example = "/usr/local/share/tedge/config-plugins" },

	/* --- the fleet --------------------------------------------------- */
	{ "fleet.url", .doc = "The platform whose fleet the device is of.",
	    .note = "tedge fleet enroll sets it.",
	    .example = "https://fleet.example.org" },
	{ "fleet.token_path", CONFIG_PATH, .def = "${config_dir}/fleet/token",
	    .doc = "The file with the token it enrols with.",
	    .example = "/etc/tedge/fleet/token" },
	{ "fleet.root_cert_path", CONFIG_PATH, .def = "/etc/ssl/certs",
	    .doc = "Who may have signed the platform's certificate: a file, or "
		   "a folder of files.",
	    .example = "/etc/ssl/certs" },
	{ "fleet.tunnels", CONFIG_LIST, .def = "localhost:22",
	    .doc = "Where tunnels from the platform may go, as host:port.",
	    .note = "localhost:22 is needed: the platform signs in by SSH.",
	    .example = "localhost:22,localhost:5900" },
	{ "fleet.confirm_time", CONFIG_DURATION, .def = "60s",
	    .doc = "How long the platform has to reach the device again after "
		   "a switch to another configuration.",
	    .note = "Then the device takes it back." },
	{ "fleet.ssh.port", CONFIG_INT, .def = "22", .min = 1, .max = 65535,
	    .doc = "The port of the device's own SSH server: where a tunnel to "
		   "localhost:22 leads." },
	{ "fleet.ssh.host_key", CONFIG_PATH,
	    .def = "/etc/ssh/ssh_host_ed25519_key",
	    .doc = "Its SSH host key, which it is known by; secrets are opened "
		   "with it.",
	    .example = "/etc/ssh/ssh_host_ed25519_key" },
	{ "fleet.ssh.authorized_keys", CONFIG_PATH,
	    .def = "/root/.ssh/authorized_keys",
	    .doc = "Where the platform's key is let in.",
	    .example = "/root/.ssh/authorized_keys" },
	{ "fleet.ssh.restart",
	    .def = "systemctl try-restart ssh.service sshd.service",
	    .doc = "What restarts the SSH server when its key is a new one: a "
		   "program and its arguments.",
	    .example = "systemctl try-restart ssh.service" },
	{ "fleet.root", CONFIG_PATH, .def = "/",
	    .doc = "The folder that takes the place of / for what the platform "
		   "places on the device.",
	    .note = "For a system that is not the one that runs.",
	    .example = "/" },

	/* --- flows ------------------------------------------------------- */
	{ "flows.memory.heap_size", CONFIG_INT, .def = "16777216", .min = 65536,
	    .max = 4294967295,
	    .doc = "Bytes of memory for the scripts of flows. " NO_FLOWS },
	{ "flows.memory.stack_size", CONFIG_INT, .def = "262144", .min = 16384,
	    .max = 4294967295, .doc = "Bytes of stack for them. " NO_FLOWS },
	{ "flows.stats.interval", CONFIG_DURATION, .def = "1h",
	    .doc = "How often the figures of flows are published; 0: "
		   "never. " NO_FLOWS },
	{ "flows.stats.on_message", YES_NO, .def = "false",
	    .doc = "Figures of onMessage, too? " NO_FLOWS },
	{ "flows.stats.on_interval", YES_NO, .def = "false",
	    .doc = "Figures of onInterval, too? " NO_FLOWS },
	{ "flows.stats.on_startup", YES_NO, .def = "false",
	    .doc = "Figures of onStartup, too? " NO_FLOWS },
	{ "flows.params.keep_on_delete", YES_NO, .def = "false",
	    .doc =
		"Does params.toml stay when its flow is removed? " NO_FLOWS },
	{ 0 },
};
