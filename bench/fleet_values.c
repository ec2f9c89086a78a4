#include "fleet_values.h"

#include <stdio.h>

uint64_t bench_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

void bench_name(uint32_t number, char out[BENCH_NAME])
{
    snprintf(out, BENCH_NAME, "bench-%06u", number);
}

void bench_serial(uint32_t number, char out[BENCH_NAME])
{
    snprintf(out, BENCH_NAME, "BN%010u", number);
}

static void put(json_t *stats, const char *name, json_t *value)
{
    json_object_set_new(stats, name, value);
}

/* `prefix` and the number with ten digits. */
static void put_text(json_t *stats, const char *name, const char *prefix, uint32_t number)
{
    char text[64];
    snprintf(text, sizeof text, "%s%010u", prefix, number);
    put(stats, name, json_string(text));
}

/* What moves. */
static void put_signal(json_t *stats, uint64_t random)
{
    put(stats, "CellLink-RSSI", json_integer(-51 - (json_int_t)(random % 63)));
    put(stats, "CellLink-RSRP", json_integer(-70 - (json_int_t)(random / 63 % 60)));
    put(stats, "CellLink-RSRQ", json_integer(-5 - (json_int_t)(random / 3780 % 15)));
    put(stats, "CellLink-SINR", json_real((double)(random / 56700 % 300) / 10));
    put(stats, "AssetTemperature",
        json_pack("{s:f}", "enclosure", 15 + (double)(random / 17010000 % 400) / 10));
}

static void put_constant(json_t *stats, uint32_t number, uint64_t random)
{
    static const char *const platforms[] = {"RV50", "RV55", "MP70", "LX40"};
    static const char *const operators[] = {"Telekom.de", "vodafone.de", "o2 - de", "Orange F"};
    put(stats, "SoftwareVersion", json_string(random % 10 ? "1.4.2" : "1.3.9"));
    put(stats, "Platform", json_string(platforms[random / 10 % 4]));
    put_text(stats, "SerialNumber", "BN", number);
    put(stats, "BootReason", json_string(random % 7 ? "power on" : "reboot by server"));
    put(stats, "ResetCount", json_integer((json_int_t)(random / 40 % 200)));
    put(stats, "CurrentWANInterface", json_string("wwan0"));
    put(stats, "LAN-Prefixes", json_string("192.168.13.0/24"));
    put(stats, "WAN-Prefixes", json_string("100.64.0.0/10"));
    put(stats, "AMMER-Version", json_string("1.0.3.005"));
    put(stats, "CellLink-RadioFirmwareVersion", json_string("SWI9X50C_01.14.20.00"));
    put(stats, "CellLink-CurrentNetworkOperator", json_string(operators[random / 8000 % 4]));
    put_text(stats, "CellLink-ICCID", "894920001", number);
    put(stats, "CellLink-NetworkServiceType", json_string(random / 32000 % 5 ? "LTE" : "UMTS"));
    put_text(stats, "IMEI", "35000", number);
    char address[32];
    snprintf(address, sizeof address, "100.%u.%u.%u", 64 + (number >> 16), number >> 8 & 0xff,
             number & 0xff);
    put(stats, "CellLink-IPAddress", json_string(address));
}

json_t *bench_stats(uint32_t number, uint64_t turn)
{
    json_t *stats = json_object();
    if (turn == 0) {
        put_constant(stats, number, bench_mix(number));
    }
    put_signal(stats, bench_mix((uint64_t)number << 32 ^ turn));
    return stats;
}

json_t *bench_parameters(uint32_t number)
{
    bool has_tunnel = number < BENCH_TUNNELS;
    char name[BENCH_NAME];
    bench_name(number, name);
    return json_pack("{s:i, s:i, s:s, s:s, s:i, s:s}", "1172", 9443, "10034",
                     has_tunnel ? 1191 + (int)(number % 3) : 1190, "1154", name, "60001",
                     has_tunnel ? "Enable" : "Disable", "60003", 900, "60007", "Disabled");
}
