# Checks one request by Perl's Net::OAuth: JSON on stdin, exit status 0 where the signature holds. Needs libnet-oauth-perl.
use strict;
use warnings;
use JSON::PP;
use Net::OAuth;
use Crypt::OpenSSL::RSA;
use URI;

$Net::OAuth::PROTOCOL_VERSION = Net::OAuth::PROTOCOL_VERSION_1_0A;
my $given = JSON::PP->new->utf8->decode(do { local $/; <STDIN> });
my $request = Net::OAuth->request($given->{token} ? 'protected resource' : 'consumer')->from_authorization_header(
    $given->{authorization},
    request_url => $given->{url}, request_method => $given->{method}, consumer_secret => $given->{consumer_secret},
    $given->{token} ? (token_secret => $given->{token_secret}) : (), extra_params => $given->{params},
);
my $ok = $given->{public_key} ? $request->verify(Crypt::OpenSSL::RSA->new_public_key($given->{public_key})) : $request->verify;
exit($ok ? 0 : 1);
