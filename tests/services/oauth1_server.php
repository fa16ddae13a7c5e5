<?php
// A system that lets PHP's own OAuth extension check each request. Needs php-cli and php-oauth.
// The extension leaves it to us to encode the secrets (RFC 5849, section 3.4.2).
header('Content-Type: application/json');
$seen = getenv('SEEN');
$provider = new OAuthProvider();
$provider->is2LeggedEndpoint(getenv('TOKEN') === '');
$provider->consumerHandler(function ($asked) {
    $asked->consumer_secret = rawurlencode(getenv('CONSUMER_SECRET'));
    return $asked->consumer_key === getenv('CONSUMER_KEY') ? OAUTH_OK : OAUTH_CONSUMER_KEY_UNKNOWN;
});
$provider->timestampNonceHandler(function ($asked) use ($seen) {
    if (abs(time() - $asked->timestamp) > 300) return OAUTH_BAD_TIMESTAMP;
    $file = $seen . '/' . md5($asked->nonce . $asked->timestamp);
    if (file_exists($file)) return OAUTH_BAD_NONCE;
    touch($file);
    return OAUTH_OK;
});
$provider->tokenHandler(function ($asked) {
    $asked->token_secret = rawurlencode(getenv('TOKEN_SECRET'));
    return $asked->token === getenv('TOKEN') ? OAUTH_OK : OAUTH_TOKEN_REJECTED;
});
try {
    $provider->checkOAuthRequest();
} catch (OAuthException $fault) {
    http_response_code(401);
    echo json_encode(['problem' => $fault->getMessage()]);
    return;
}
$items = [];
for ($at = 0; $at < 3; $at++) $items[] = ['id' => "r$at", 'name' => "name $at", 'amount' => $at];
echo json_encode(['items' => ($_GET['page'] ?? '1') === '1' ? $items : [], 'form' => $_POST]);
