/*
 * plug/gateway/tasmota_kind.c - what Tasmota's values are, by their names: a
 * metric type and a unit.
 */
#include "plug/gateway/tasmota.h"

#include "base/base.h"

static const struct tasmota_kind kinds[] = {
	{ "POWER", "binary", NULL, TASMOTA_CONTROL },
	{ "Fade", "binary", NULL, TASMOTA_CONTROL },
	{ "Switch", "binary", NULL, TASMOTA_CONTROL },
	{ "Dimmer", "gauge", "%", TASMOTA_CONTROL },
	{ "White", "gauge", "%", TASMOTA_CONTROL },
	{ "CT", "gauge", "mired", TASMOTA_CONTROL },
	{ "Speed", "gauge", NULL, TASMOTA_CONTROL },
	{ "HSBColor1", "gauge", "°", TASMOTA_CONTROL },
	{ "HSBColor2", "gauge", "%", TASMOTA_CONTROL },
	{ "HSBColor3", "gauge", "%", TASMOTA_CONTROL },
	{ "LoadAvg", "gauge", NULL, TASMOTA_CONTROL },
	{ "Vcc", "gauge_float", "V", TASMOTA_CONTROL },
	{ "Heap", "gauge", "KiB", NULL },
	{ "RSSI", "gauge", "%", NULL },
	{ "Signal", "gauge", "dBm", NULL },

	{ "TotalStartTime", "none", NULL, "ENERGY" },
	{ "Total", "gauge_float", "kWh", "ENERGY" },
	{ "Today", "gauge_float", "kWh", "ENERGY" },
	{ "Yesterday", "gauge_float", "kWh", "ENERGY" },
	{ "Period", "gauge_float", "Wh", "ENERGY" },
	{ "ExportActive", "gauge_float", "kWh", "ENERGY" },
	{ "ExportReactive", "gauge_float", "kvarh", "ENERGY" },
	{ "ImportActive", "gauge_float", "kWh", "ENERGY" },
	{ "ImportReactive", "gauge_float", "kvarh", "ENERGY" },
	{ "Factor", "gauge_float", NULL, NULL },
	{ "Frequency", "gauge_float", "Hz", NULL },
	{ "Power", "gauge_float", "W", NULL },
	{ "ApparentPower", "gauge_float", "VA", NULL },
	{ "ReactivePower", "gauge_float", "var", NULL },
	{ "Voltage", "gauge_float", "V", NULL },
	{ "Current", "gauge_float", "A", NULL },
	{ "PhaseAngle", "gauge_float", "°", NULL },

	{ "Temperature", "gauge_float", "T", NULL },
	{ "DewPoint", "gauge_float", "T", NULL },
	{ "Humidity", "gauge_float", "%", NULL },
	{ "Moisture", "gauge_float", "%", NULL },
	{ "Pressure", "gauge_float", "P", NULL },
	{ "SeaPressure", "gauge_float", "P", NULL },
	{ "WindSpeed", "gauge_float", "S", NULL },
	{ "Illuminance", "gauge_float", "lx", NULL },
	{ "CarbonDioxide", "gauge_float", "ppm", NULL },
	{ "CO2", "gauge_float", "ppm", NULL },
	{ "eCO2", "gauge_float", "ppm", NULL },
	{ "TVOC", "gauge_float", "ppb", NULL },
	{ "PM1", "gauge_float", "µg/m³", NULL },
	{ "PM2_5", "gauge_float", "µg/m³", NULL },
	{ "PM10", "gauge_float", "µg/m³", NULL },
	{ "Gas", "gauge_float", "kΩ", NULL },
	{ "Distance", "gauge_float", "cm", NULL },
	{ "Weight", "gauge_float", "kg", NULL },
	{ "UvIndex", "gauge_float", NULL, NULL },
	{ "Position", "gauge", "%", NULL },
	{ "A", "gauge", NULL, "Analog" },
	{ "Range", "gauge_float", NULL, "Analog" },
	{ "C", "counter", NULL, "Counter" },
	{ "Id", "none", NULL, NULL },
};

struct str
tasmota_stem(struct str name)
{
	while (name.len > 1 &&
	    ((name.ptr[name.len - 1] >= '0' && name.ptr[name.len - 1] <= '9') ||
		name.ptr[name.len - 1] == '_'))
		name.len--;
	return name;
}

const struct tasmota_kind *
tasmota_kind(struct str source, struct str name)
{
	struct str stem = tasmota_stem(name);
	const struct tasmota_kind *near = NULL;

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		const struct tasmota_kind *k = &kinds[i];

		if (k->source != NULL && !str_eqz(source, k->source))
			continue;
		if (str_eq_nocase(name, str_of(k->name)))
			return k;
		if (near == NULL && str_eq_nocase(stem, str_of(k->name)))
			near = k;
	}
	return near;
}
