// Generates src/types.ts from ../openrpc.json; with --check, exits with 1 when it is stale.

import { readFileSync, writeFileSync } from "node:fs";
import { compile } from "json-schema-to-typescript";

const CONTRACT = new URL("../../openrpc.json", import.meta.url);
const TYPES = new URL("../src/types.ts", import.meta.url);
const HEAD = "// Generated from ../../openrpc.json by `npm run types`.";

const document = JSON.parse(readFileSync(CONTRACT, "utf8"));

/** An object schema whose members are all required. */
function object(title, description, properties) {
  const required = Object.keys(properties);
  return { title, description, type: "object", properties, required, additionalProperties: false };
}

/** Moves references to `definitions`, out of the way of descriptions, and tells defaults. */
function adapt(schema) {
  if (Array.isArray(schema)) return schema.map(adapt);
  if (typeof schema !== "object" || schema === null) return schema;
  const { $ref, ...rest } = schema;
  const adapted = Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [key, adapt(value)]),
  );
  if ($ref) {
    const target = { $ref: $ref.replace("#/components/schemas/", "#/definitions/") };
    if (Object.keys(rest).length === 0) return target;
    adapted.allOf = [target];
  }
  if (schema.type === "object" && !schema.properties && !("additionalProperties" in schema)) {
    adapted.additionalProperties = {};
  }
  if ("default" in schema && schema.default !== null && typeof schema.default !== "object") {
    const told = `@default ${JSON.stringify(schema.default)}`;
    adapted.description = schema.description ? `${schema.description}\n${told}` : told;
  }
  return adapted;
}

function method({ summary, result, ...rest }) {
  const params = adapt(rest["x-params"]);
  return object(undefined, summary, { params, result: adapt(result.schema) });
}

function notification({ summary, params }) {
  const members = params.map(({ name, description, schema }) => [
    name,
    adapt(description ? { ...schema, description } : schema),
  ]);
  return object(undefined, summary, Object.fromEntries(members));
}

function named(list, schemaOf) {
  return Object.fromEntries(list.map((each) => [each.name, schemaOf(each)]));
}

const fromWorker = document["x-notifications"].filter(
  ({ direction }) => direction === "serverToClient",
);
const contract = {
  ...object("Contract", `Version ${document.info.version} of the protocol.`, {
    methods: object(
      "Methods",
      "Each method, with its params and result.",
      named(document.methods, method),
    ),
    notifications: object(
      "Notifications",
      "The params of each notification of the worker.",
      named(fromWorker, notification),
    ),
    errorKind: {
      title: "ErrorKind",
      description: "The `kind` of an error that the worker answers with.",
      enum: Object.keys(document.components.errors),
    },
    cancelledBy: {
      ...adapt(document.components.schemas.CancelledData.properties.by),
      title: "CancelledBy",
    },
  }),
  definitions: Object.fromEntries(
    Object.entries(document.components.schemas).map(([name, schema]) => [name, adapt(schema)]),
  ),
};

const types = await compile(contract, "Contract", {
  additionalProperties: false,
  bannerComment: HEAD,
  format: true,
  ignoreMinAndMaxItems: true,
  style: { printWidth: 100 },
});

if (process.argv.includes("--check")) {
  if (readFileSync(TYPES, "utf8") !== types) {
    console.error("src/types.ts is stale: run `npm run types`.");
    process.exit(1);
  }
} else {
  writeFileSync(TYPES, types);
}
