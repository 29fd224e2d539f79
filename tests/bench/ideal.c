/* The least that a client can do: a question by NAT-PMP and its answer over one socket, one
 * wait for the next poll and for announcements, an HTTP request when the address is another.
 * No configuration, state, TLS, retries or checks. For tests/bench/footprint:
 *
 *     ideal GATEWAY SECONDS SERVER HOST PATH
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct sockaddr_in place(const char *address, int port) {
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &found.sin_addr);
    return found;
}

static int update(const char *server, const char *host, const char *path, struct in_addr address) {
    struct sockaddr_in to = place(server, 80);
    char text[512];
    int tcp = socket(AF_INET, SOCK_STREAM, 0), size;
    if (connect(tcp, (void *)&to, sizeof to)) return close(tcp), 0;
    size = snprintf(text, sizeof text, "GET %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, inet_ntoa(address), host);
    send(tcp, text, size, 0);
    size = recv(tcp, text, sizeof text, 0);
    close(tcp);
    return size > 12 && !memcmp(text + 9, "200", 3);
}

int main(int count, char **words) {
    if (count != 6) return 2;
    struct sockaddr_in gateway = place(words[1], 5351), group = place("224.0.0.1", 5350);
    struct timeval patience = {.tv_usec = 250000};
    struct in_addr held = {0}, found;
    int udp = socket(AF_INET, SOCK_DGRAM, 0), ear = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    unsigned char answer[64];
    connect(udp, (void *)&gateway, sizeof gateway);
    setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    getsockname(udp, (void *)&own, &length);
    struct ip_mreq_source way = {group.sin_addr, own.sin_addr, gateway.sin_addr};
    setsockopt(ear, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bind(ear, (void *)&group, sizeof group);
    setsockopt(ear, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &way, sizeof way);
    struct pollfd heard = {.fd = ear, .events = POLLIN};
    for (;;) {
        send(udp, "\0\0", 2, 0);
        if (recv(udp, answer, sizeof answer, 0) == 12 && !answer[2] && !answer[3]) {
            memcpy(&found, answer + 8, 4);
            if (found.s_addr && found.s_addr != held.s_addr && update(words[3], words[4], words[5], found)) held = found;
        }
        if (poll(&heard, 1, atof(words[2]) * 1000) > 0) recv(ear, answer, sizeof answer, 0);
    }
}
