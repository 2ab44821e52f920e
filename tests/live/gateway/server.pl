# A server for the tests of the gateway: says who it is, counts what it is sent, streams, and speaks another protocol.
use strict;
use IO::Socket::INET;
$SIG{CHLD} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };
my $server = IO::Socket::INET->new(LocalPort => $ENV{PORT} // 80, Listen => 1024, ReuseAddr => 1) or die "$!";
while (1) {
  my $c = $server->accept or next;
  if (fork) { close $c; next }
  close $server;
  $c->autoflush(1);
  my $requests = 0;
  while (defined(my $line = <$c>)) {
    my ($method, $path) = split ' ', $line;
    my ($head, %h) = ($line);
    while (defined(my $next = <$c>)) {
      $head .= $next;
      $next =~ s/\r?\n//;
      last if $next eq '';
      my ($key, $value) = split /:\s*/, $next, 2;
      $h{lc $key} = $value;
    }
    $requests++;
    my $length = 0;
    if (defined $h{'content-length'}) {
      my $left = $h{'content-length'};
      while ($left > 0) {
        my $got = read($c, my $piece, $left < 65536 ? $left : 65536) or last;
        $left -= $got;
        $length += $got;
      }
    } elsif (($h{'transfer-encoding'} // '') eq 'chunked') {
      while (defined(my $size = <$c>)) {
        my $left = hex $size;
        read($c, my $piece, $left + 2);
        last unless $left;
        $length += $left;
      }
    }
    if ($path eq '/upgrade') {
      print $c "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: $h{upgrade}\r\n\r\n";
      while (defined(my $said = <$c>)) { print $c "echo $said" }
      last;
    }
    if ($path eq '/stream') {
      print $c "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
      print $c "f\r\ndata: the first\r\n";
      # The second one comes when somebody has seen the first.
      select undef, undef, undef, 0.01 until -e '/tmp/seen';
      print $c "11\r\n\ndata: the second\r\n0\r\n\r\n";
      next;
    }
    open my $seen, '>', '/tmp/seen' if $path eq '/seen';
    exit 0 if $path eq '/drop';
    my $body = $path eq '/head' ? $head : $method eq 'POST' ? "$length bytes" : $path eq '/count' ? $requests : $ENV{NAME};
    print $c "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
  }
  exit 0;
}
