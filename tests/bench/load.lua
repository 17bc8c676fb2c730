-- For wrk: asks in turn with every line of a file, "METHOD PATH BEARER", and tells the outcome as one line of JSON.
-- Arguments: the file, and how many lines of it to pass over at the start.
local requests, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local method, path, bearer = line:match("(%S+) (%S+) (%S+)")
    requests[#requests + 1] = method .. " " .. path .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nAuthorization: Bearer "
      .. bearer .. (method == "POST" and "\r\nContent-Length: 0" or "") .. "\r\n\r\n"
  end
  at = tonumber(args[2]) % #requests
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"bytes":%d,"refused":%d,"broken":%d,"p50":%.4f,"p90":%.4f,"p99":%.4f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3))
end
