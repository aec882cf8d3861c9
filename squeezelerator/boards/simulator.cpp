// The simulated system: a clock, and the bytes of its serial port on a TCP port of this machine. One connection at a time; when it ends,
// or when nothing has come for --idle seconds and nobody is connected, the simulation ends. Prints "port N" when it listens.
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "Vtop.h"
#include "verilated.h"

// Cycles between two looks at the connection while nothing comes.
static const int LOOK = 64;
// Cycles before the first byte: the system is in reset, and would lose what a driver has sent while this program started.
static const int RESET = 64;

static int die(const char *what) {
  std::perror(what);
  return 1;
}

int main(int argc, char **argv) {
  const int wanted = argc > 1 ? std::atoi(argv[1]) : 0;
  const int idle_s = argc > 2 ? std::atoi(argv[2]) : 60;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::signal(SIGPIPE, SIG_IGN);

  int listener = socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(wanted);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr *>(&address), size) || listen(listener, 1)) return die("simulated system");
  getsockname(listener, reinterpret_cast<sockaddr *>(&address), &size);
  std::printf("port %d\n", ntohs(address.sin_port));
  std::fflush(stdout);

  pollfd wait{listener, POLLIN, 0};
  if (poll(&wait, 1, idle_s * 1000) <= 0) return 0;
  int peer = accept(listener, nullptr, nullptr);
  if (peer < 0) return die("simulated system");
  close(listener);
  setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(peer, F_SETFL, O_NONBLOCK);

  VerilatedContext context;
  Vtop top(&context);
  unsigned char in[65536], out[65536];
  ssize_t count = 0, at = 0;
  size_t waiting = 0, held = 0;
  int countdown = RESET;
  top.serial_sink_valid = 0;
  top.serial_source_ready = 1;
  for (;;) {
    if (at == count && --countdown <= 0) {
      countdown = LOOK;
      at = 0;
      count = recv(peer, in, sizeof in, 0);
      if (count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) break;
      if (count < 0) count = 0;
    }
    top.serial_sink_valid = at < count;
    if (at < count) top.serial_sink_data = in[at];
    top.serial_source_ready = waiting < sizeof out;
    top.sys_clk = 0;
    top.eval();
    const bool taken = top.serial_sink_valid && top.serial_sink_ready;
    if (top.serial_source_valid && top.serial_source_ready) {
      out[waiting++] = top.serial_source_data;
      held = 0;
    }
    top.sys_clk = 1;
    top.eval();
    if (taken) ++at;
    // Bytes go out together: a packet for each would be most of the time.
    if (waiting && (waiting == sizeof out || ++held > 64)) {
      size_t sent = 0;
      while (sent < waiting) {
        ssize_t now = send(peer, out + sent, waiting - sent, 0);
        if (now > 0) {
          sent += now;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
          pollfd room{peer, POLLOUT, 0};
          poll(&room, 1, 1000);
        } else {
          return 0;
        }
      }
      waiting = held = 0;
    }
  }
  top.final();
  return 0;
}
