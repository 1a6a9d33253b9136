// Shows the document that lies beside this script. Tokens stay in the page's memory, and nothing is sent elsewhere.
const beside = new URL('.', document.currentScript.src)

SwaggerUIBundle({
  dom_id: '#page',
  url: new URL('openapi.json', beside).href,
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
})
