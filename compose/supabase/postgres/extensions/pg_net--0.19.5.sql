create table _http_response (
  id bigserial primary key, status_code int, content_type text, headers jsonb, content text, timed_out bool, error_msg text, created timestamptz not null default now()
);

-- The extension `http` does the work. It is not required by the control file: migrations say `create extension pg_net` without `cascade`.
create function _request(method text, url text, body text, params jsonb, headers jsonb, timeout_milliseconds int) returns bigint language plpgsql security definer as $$
declare
  http text;
  answer record;
  response_id bigint;
begin
  if not exists (select from pg_extension where extname = 'http') then create extension http schema extensions; end if;
  select extnamespace::regnamespace into http from pg_extension where extname = 'http';
  begin
    execute format('select %s.http_set_curlopt(''CURLOPT_TIMEOUT_MS'', $1)', http) using timeout_milliseconds::text;
    execute format(
      $request$
        select r.status, r.content_type, r.content, (select jsonb_object_agg(h.field, h.value) from unnest(r.headers) h) as headers
        from %1$s.http((
          $1, $2 || case when coalesce($5, '{}') = '{}' then '' else '?' || %1$s.urlencode($5) end,
          (select array_agg(%1$s.http_header(key, value)) from jsonb_each_text(coalesce($4, '{}')) where lower(key) <> 'content-type'),
          case when $3 is null then null else coalesce((select value from jsonb_each_text(coalesce($4, '{}')) where lower(key) = 'content-type'), 'application/json') end,
          $3)::%1$s.http_request) r
      $request$, http) into answer using method, url, body, headers, params;
    insert into net._http_response (status_code, content_type, headers, content, timed_out)
      values (answer.status, answer.content_type, answer.headers, answer.content, false) returning id into response_id;
  exception when others then
    insert into net._http_response (error_msg, timed_out) values (sqlerrm, sqlerrm ilike '%timed out%') returning id into response_id;
  end;
  return response_id;
end
$$;

create function http_get(url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds int default 5000) returns bigint language sql as $$
  select net._request('GET', url, null, params, headers, timeout_milliseconds)
$$;
create function http_post(url text, body jsonb default '{}', params jsonb default '{}', headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds int default 5000)
returns bigint language sql as $$
  select net._request('POST', url, body::text, params, headers, timeout_milliseconds)
$$;
create function http_delete(url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds int default 5000, body jsonb default null) returns bigint language sql as $$
  select net._request('DELETE', url, body::text, params, headers, timeout_milliseconds)
$$;
grant usage on schema net to postgres, anon, authenticated, service_role;
